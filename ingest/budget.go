package ingest

import (
	"errors"
	"io"
	"math/bits"
	"sync"

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
	spare   [classes]sync.Pool // Of *[]byte, memory of bodies that are done with, by class.
}

func newBudget(bytes int64, pending prometheus.Gauge) *budget {
	return &budget{free: semaphore.NewWeighted(bytes + 1), pending: pending}
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
	b.free()
	b.budget.free.Release(b.taken)
	b.budget.pending.Sub(float64(b.taken))
	b.taken = 0
}

// free gives the memory of the text back, but nothing to the budget: its events
// are in records now, which are about as large.
func (b *body) free() {
	text := b.text
	b.text = nil
	if n := int64(cap(text)); n > 0 {
		if c := class(n); c < classes && int64(classBytes(c)) == n {
			b.budget.spare[c].Put(&text)
		}
	}
}

// Memory is used again in sizes of powers of two, 512 bytes to 1 MiB: so a small
// body never holds a large piece. Larger bodies are few, and theirs is better free.
const (
	smallest = 9 // Bits of 512.
	classes  = 12
)

func class(size int64) int { return max(0, bits.Len64(uint64(size-1))-smallest) } //nolint:gosec // Above 0.

func classBytes(class int) int { return 1 << (class + smallest) }

// memory returns an empty slice of this capacity.
func (b *budget) memory(size int64) []byte {
	if c := class(size); c < classes && int64(classBytes(c)) == size {
		if old, ok := b.spare[c].Get().(*[]byte); ok {
			return (*old)[:0]
		}
	}
	return make([]byte, 0, size)
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
	size := length + 1
	if length < 0 {
		size = firstRead
	}
	size = min(size, limit+1)
	if c := class(size); c < classes && int64(classBytes(c)) <= limit {
		size = int64(classBytes(c))
	}
	if !out.take(size) {
		return out, errBusy
	}
	out.text = b.memory(size)
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
