package textbook

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"pulseboard/job"
	"pulseboard/results"
	"pulseboard/wire"
)

// WriteOrderedFn hands results to the Ordered of its run when the bundle ends.
type WriteOrderedFn struct {
	Run string

	results []results.Publication
}

func init() {
	beam.RegisterDoFn(&WriteOrderedFn{})
}

// WriteOrdered ends PCollection<wire.Result>. See NewOrdered.
func WriteOrdered(s beam.Scope, run string, evaluations beam.PCollection) {
	beam.ParDo0(s.Scope("WriteOrdered"), &WriteOrderedFn{Run: run}, evaluations)
}

// StartBundle is called by the SDK, like the methods below.
func (f *WriteOrderedFn) StartBundle(context.Context) { f.results = nil }

// ProcessElement keeps results until the bundle ends.
func (f *WriteOrderedFn) ProcessElement(_ context.Context, r wire.Result) error {
	f.results = append(f.results, results.Publication{Result: &r, Announce: true})
	return nil
}

// FinishBundle writes them.
func (f *WriteOrderedFn) FinishBundle(ctx context.Context) error {
	if len(f.results) == 0 {
		return nil
	}
	out, err := job.Of[*Ordered](f.Run)
	if err != nil {
		return err
	}
	return out.take(ctx, f.results)
}

// Ordered writes results in the order of their window ends, to Redis or as JSON lines.
type Ordered struct {
	store *results.Store
	json  io.Writer
	hold  bool

	mu   sync.Mutex
	held []results.Publication
}

// NewOrdered is the output of a run: lines to json, else to store. A
// bounded run gives its results in any order, so with hold they wait for Write.
func NewOrdered(store *results.Store, json io.Writer, hold bool) *Ordered {
	return &Ordered{store: store, json: json, hold: hold}
}

func (o *Ordered) take(ctx context.Context, ps []results.Publication) error {
	o.mu.Lock()
	o.held = append(o.held, ps...)
	o.mu.Unlock()
	if o.hold {
		return nil
	}
	return o.Write(ctx)
}

// Write writes what is held.
func (o *Ordered) Write(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	slices.SortFunc(o.held, func(a, b results.Publication) int {
		return cmp.Or(cmp.Compare(a.Result.WindowEnd, b.Result.WindowEnd), cmp.Compare(a.Result.Key, b.Result.Key))
	})
	held := o.held
	o.held = nil
	if o.json == nil {
		_, err := o.store.Publish(ctx, held)
		return err
	}
	for _, p := range held {
		if _, err := o.json.Write(append(p.Result.Encode(), '\n')); err != nil {
			return fmt.Errorf("cannot write results: %w", err)
		}
	}
	return nil
}
