package textbook_test

import (
	"strings"
	"testing"
	"time"

	"pulseboard/pipeline"
	"pulseboard/textbook"
)

func TestRefuses(t *testing.T) {
	c := textbook.Config{Config: pipeline.Default(), From: time.UnixMilli(2), To: time.UnixMilli(1)}
	err := textbook.Run(t.Context(), c)
	for _, part := range []string{"--refresh", "--from"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error is %v: it should speak of %s", err, part)
		}
	}
}
