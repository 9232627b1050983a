package command

import (
	"context"
	"log/slog"
	"strings"
	"testing"
)

// What a runner reports after the end is dropped, also by loggers that were made before.
func TestNothingIsLoggedAfterTheEnd(t *testing.T) {
	var out strings.Builder
	ctx, end := context.WithCancel(t.Context())
	log := slog.New(untilEnd{slog.NewTextHandler(&out, nil), ctx}).With("a", 1).WithGroup("g")
	log.Error("before")
	end()
	log.Error("after")
	if got := out.String(); !strings.Contains(got, "before a=1") || strings.Contains(got, "after") {
		t.Errorf("logged %q", got)
	}
}
