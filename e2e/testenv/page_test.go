package testenv

import (
	"fmt"
	"strings"
	"testing"
)

// A failed test shows a page, whatever was logged.
func TestPageIsAPage(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "line %d %s\n", i, strings.Repeat("é", 10*i))
	}
	got := Page(b.String())
	if lines := strings.Count(got, "\n"); lines != pageLines+1 || len(got) > (pageLines+1)*(lineWidth+60) {
		t.Errorf("%d lines, %d bytes", lines, len(got))
	}
	if !strings.HasPrefix(got, "(940 lines before these)\nline 940 ") || !strings.Contains(got, "\nline 999 ") || strings.Contains(got, "�") {
		t.Errorf("%.200s", got)
	}
	if got := Page("one\ntwo\n"); got != "one\ntwo\n" {
		t.Errorf("%q", got)
	}
	kept := new(lastLines)
	for range 100 {
		_, _ = fmt.Fprint(kept, strings.Repeat("x", keptBytes/10))
	}
	if len(kept.b) < keptBytes || len(kept.b) > 2*keptBytes {
		t.Errorf("%d bytes are kept", len(kept.b))
	}
}
