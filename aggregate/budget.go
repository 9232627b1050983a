package aggregate

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// Budget bounds the memory of several stores together, of which each decides by
// itself, slice by slice, whether it may get new series: what was in use some
// slices ago it knows of all, wherever they are now, and of what was left then
// each may take an equal part since. So the decision is a function of what was
// read, whatever the order in which the stores come to a slice, and all together
// stay below the limit.
type Budget struct {
	limit  int64
	shares int64 // How many stores there are at most.
	lag    int64 // Slices that no store is further ahead of another.

	mu       sync.Mutex
	accounts []*account
}

// account is what one store has in use.
type account struct {
	used atomic.Int64

	// Guarded by the budget.
	base int64   // Before the first slice.
	past []usage // At the last slices, by their index modulo their number.
	last int64   // The newest slice.
}

type usage struct{ slice, bytes int64 }

// NewBudget returns a budget of limit bytes for at most so many stores, of which
// none is more than lag slices ahead of another.
func NewBudget(limit int64, stores int, lag int64) *Budget {
	return &Budget{limit: limit, shares: int64(max(stores, 1)), lag: max(lag, 1)}
}

// Used returns how many bytes are in use.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	var n int64
	for _, a := range b.accounts {
		n += a.used.Load()
	}
	return n
}

// open returns the account of a new store.
func (b *Budget) open() *account {
	b.mu.Lock()
	defer b.mu.Unlock()
	// One that is behind asks, of one that is ahead, for what is twice the lag ago.
	a := &account{past: make([]usage, 2*b.lag+1), last: math.MinInt64}
	b.accounts = append(b.accounts, a)
	return a
}

func (b *Budget) close(a *account) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accounts = slices.DeleteFunc(b.accounts, func(o *account) bool { return o == a })
}

// allowance is what a store may do until its next slice is over.
type allowance struct {
	ceiling int64   // New series while less is in use.
	slack   int64   // Above the ceiling, for new metrics, which count in one series each.
	excess  float64 // Above 1: all stores hold so many times the limit, and this one more than its share.
}

// first is the allowance of a store that has passed no slice.
func (b *Budget) first() allowance {
	return allowance{ceiling: b.limit / b.shares}
}

// whole is the allowance of a store that is restored.
func (b *Budget) whole() allowance {
	return allowance{ceiling: b.limit, slack: b.limit / b.shares / 8}
}

// settle makes what is in use the base, from which a store grows on.
func (b *Budget) settle(a *account) allowance {
	b.mu.Lock()
	defer b.mu.Unlock()
	a.base = a.used.Load()
	return allowance{ceiling: a.base + max(0, b.limit-a.base)/b.shares}
}

// pass notes what is in use at the end of a slice.
func (b *Budget) pass(a *account, slice int64) allowance {
	b.mu.Lock()
	defer b.mu.Unlock()
	used := a.used.Load()
	a.last = max(a.last, slice)
	a.past[Mod(slice, int64(len(a.past)))] = usage{slice, used}
	var total, own int64
	for _, o := range b.accounts {
		then := o.at(slice - b.lag)
		total += then
		if o == a {
			own = then
		}
	}
	w := allowance{ceiling: own + max(0, b.limit-total)/b.shares, slack: b.limit / b.shares / 8}
	if own > b.limit/b.shares {
		w.excess = float64(total) / float64(b.limit)
	}
	return w
}

// at returns what was in use at the end of a slice. A store that has not come so
// far has what it has.
func (a *account) at(slice int64) int64 {
	slice = min(slice, a.last)
	if u := a.past[Mod(slice, int64(len(a.past)))]; u.slice == slice && a.last != math.MinInt64 {
		return u.bytes
	}
	return a.base
}
