package ingest

import (
	"errors"
	"io"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
)

var (
	errBusy     = errors.New("too much is waiting for Kafka already")
	errTooLarge = errors.New("the body is too large")
)

// budget bounds the bytes of all bodies in memory.
type budget struct {
	free    *semaphore.Weighted
	pending prometheus.Gauge
}

func newBudget(bytes int64, pending prometheus.Gauge) *budget {
	return &budget{semaphore.NewWeighted(bytes), pending}
}

// body is what was read of a request. Whoever has it must release it.
type body struct {
	text   []byte
	budget *budget
	taken  int64
}

func (b *body) take(n int64) bool {
	if !b.budget.free.TryAcquire(n) {
		return false
	}
	b.taken += n
	b.budget.pending.Add(float64(n))
	return true
}

func (b *body) release() {
	b.budget.free.Release(b.taken)
	b.budget.pending.Sub(float64(b.taken))
	b.taken = 0
}

// How much is read at first when the length is not known.
const firstRead = 64 << 10

// read takes all of r, whose length is length if that is not negative, and at
// most limit bytes. Memory is taken from the budget before it is used.
func (b *budget) read(r io.Reader, length, limit int64) (*body, error) {
	out := &body{budget: b}
	if length > limit {
		return out, errTooLarge
	}
	// One more than expected shows the end without growing.
	size := min(max(length+1, 512), limit+1)
	if length < 0 {
		size = min(firstRead, limit+1)
	}
	if !out.take(size) {
		return out, errBusy
	}
	out.text = make([]byte, 0, size)
	for {
		n, err := r.Read(out.text[len(out.text):cap(out.text)])
		out.text = out.text[:len(out.text)+n]
		switch {
		case int64(len(out.text)) > limit:
			return out, errTooLarge
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return out, err
		}
		if len(out.text) == cap(out.text) {
			more := min(int64(cap(out.text)), limit+1-int64(cap(out.text)))
			if !out.take(more) {
				return out, errBusy
			}
			out.text = append(make([]byte, 0, int64(cap(out.text))+more), out.text...)
		}
	}
}
