package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"pulseboard/clients/send"
)

// bar shows on a terminal how far a file is sent, in one line that is written again and again. What is written
// to it goes above that line.
type bar struct {
	to    io.Writer
	size  int64
	begun time.Time
	next  time.Time // When it is shown again.
	shown bool
}

const (
	barWidth = 24
	barEvery = 100 * time.Millisecond
	// eraseLine goes back to the beginning of the line and clears it.
	eraseLine = "\r\x1b[K"
)

// newBar returns nil where there is no terminal, or no size is known.
func newBar(to io.Writer, size int64) *bar {
	f, ok := to.(*os.File)
	if !ok || size == 0 {
		return nil
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return &bar{to: to, size: size, begun: time.Now()}
}

func (b *bar) show(s send.Sum) {
	now := time.Now()
	if now.Before(b.next) && s.Bytes < b.size {
		return
	}
	b.next, b.shown = now.Add(barEvery), true
	_, _ = fmt.Fprint(b.to, eraseLine+barText(s, b.size, now.Sub(b.begun)))
}

func barText(s send.Sum, size int64, passed time.Duration) string {
	part := min(1, float64(s.Bytes)/float64(size))
	full := int(part * barWidth)
	text := fmt.Sprintf("%3.0f %% [%s%s] %d stored", 100*part, strings.Repeat("#", full), strings.Repeat(".", barWidth-full), s.Stored)
	if s.Refused > 0 {
		text += fmt.Sprintf(", %d refused", s.Refused)
	}
	if seconds := passed.Seconds(); seconds >= 1 {
		text += fmt.Sprintf(", %.0f/s", float64(s.Stored+s.Refused)/seconds)
	}
	return text
}

// Write implements io.Writer, for messages.
func (b *bar) Write(p []byte) (int, error) {
	if b.shown {
		_, _ = io.WriteString(b.to, eraseLine)
		b.shown = false
	}
	return b.to.Write(p)
}

// end leaves the line as it is. Of nil it does nothing.
func (b *bar) end() {
	if b != nil && b.shown {
		_, _ = io.WriteString(b.to, "\n")
	}
}
