package service

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// A body may take bodyGrace from the head of its request on, and a second more for each
// bodyRate bytes of it: a slower one would hold memory and a connection without bound.
// A body that stops coming is noticed within bodyGrace.
const (
	bodyGrace = 10 * time.Second
	bodyRate  = 16 << 10
)

// ErrSlowBody is the error of reading a body that comes slower than BodyPace.
// The answer is 408.
var ErrSlowBody = errors.New("the body comes too slowly: at least 16 KiB a second are expected after the first 10 seconds")

// pacedBody reads a body of a request at its least rate. Server.ReadTimeout is the
// grace, so that a body that is there at once costs a single call.
type pacedBody struct {
	io.ReadCloser

	w       http.ResponseWriter
	metrics *serverMetrics
	begun   time.Time // Of the second read; the first is within the grace.
	n       int64
	granted int64 // Seconds for n.
	err     error
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	switch {
	case err == nil:
		b.extend()
	case errors.Is(err, io.EOF):
		// net/http goes on reading, to notice that the client is gone. A deadline would
		// fail that read and so cancel the context of a handler that waits for Kafka.
		_ = http.NewResponseController(b.w).SetReadDeadline(time.Time{}) // A writer of tests has none.
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.metrics.refusedSlow.Inc()
		b.w.Header().Set("Connection", "close") // The rest would be taken for the next request.
		err = ErrSlowBody
	}
	b.err = err
	return n, err
}

// extend moves the deadlines on for what has come: that of the answer, too, which
// net/http counts from the head.
func (b *pacedBody) extend() {
	if b.begun.IsZero() {
		b.begun = time.Now()
	}
	seconds := b.n / bodyRate
	if seconds == b.granted {
		return
	}
	b.granted = seconds
	deadline := b.begun.Add(bodyGrace + time.Duration(seconds)*time.Second)
	c := http.NewResponseController(b.w)
	_ = c.SetReadDeadline(deadline)
	_ = c.SetWriteDeadline(deadline.Add(writeTimeout))
}
