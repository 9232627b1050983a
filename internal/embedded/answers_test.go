package embedded

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// What was written before Close reaches a client that reads late.
func TestAnswersAreSentAfterClose(t *testing.T) {
	ours, theirs := net.Pipe() // It holds nothing by itself.
	a := newAnswers(ours, time.Minute)
	want := bytes.Repeat([]byte("answer\n"), 10_000)
	for part := want; len(part) > 0; part = part[7:] {
		if _, err := a.Write(part[:7]); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(theirs)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes came, %v", len(got), len(want), err)
	}
	if _, err := a.Write(want); err == nil {
		t.Error("a Write after Close says nothing")
	}
}

// A client that reads nothing does not stop the others for ever: it is disconnected.
func TestAnswersNobodyReads(t *testing.T) {
	ours, theirs := net.Pipe()
	a := newAnswers(ours, time.Millisecond)
	part, sent := make([]byte, 1<<20), 0
	for {
		n, err := a.Write(part)
		if err != nil {
			break
		}
		if sent += n; sent > 2*maxHeld {
			t.Fatalf("%d bytes are held, more than %d", sent, maxHeld)
		}
	}
	if _, err := io.ReadAll(theirs); err != nil { // The end of it.
		t.Error(err)
	}
}
