package aggregate

import "sync/atomic"

// Budget bounds the memory of several stores together. It stops growth by new
// series: what is held already goes on.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget returns a budget of limit bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Used returns how many bytes are in use.
func (b *Budget) Used() int64 { return b.used.Load() }

func (b *Budget) charge(n int64) {
	if b != nil {
		b.used.Add(n)
	}
}

func (b *Budget) spent() bool { return b != nil && b.used.Load() >= b.limit }
