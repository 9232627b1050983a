package sources

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"pulseboard/internal/clock"
)

// Extent is the records of one partition from Start to End, without End.
type Extent struct {
	Partition  int32
	Start, End int64
}

// Extents looks up what a bounded read is to read: from the first records at or
// after startMs (0 = all there are) to the ends that the partitions have now.
// since is from when on every event is there, epoch ms; 0 = of all time.
func Extents(ctx context.Context, o Options) (extents []Extent, since int64, err error) {
	b := newBroker(endpointOf(o.Run), o.Topic)
	defer b.close()
	r := reader{options: o}
	ids, err := b.partitions(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, id := range ids {
		start, from, err := b.startAt(ctx, id, o.StartMs, r.isOldAhead)
		if err != nil {
			return nil, 0, err
		}
		end, err := b.offset(ctx, id, toEnd)
		if err != nil {
			return nil, 0, err
		}
		if from > 0 {
			since = max(since, from+o.MaxFutureMs)
		}
		extents = append(extents, Extent{id, start, end})
	}
	return extents, since, nil
}

// ReadBounded reads extents once, without a splittable DoFn, so that the direct
// runner can do it too: PCollection<*Batch>.
func ReadBounded(s beam.Scope, o Options, extents []Extent) beam.PCollection {
	s = s.Scope("ReadKafkaBounded")
	return beam.ParDo(s, &ReadExtentFn{Options: o}, beam.CreateList(s, extents))
}

// ReadExtentFn reads one extent. Batches have no pipeline time: nothing of it is needed
// where all records are there before the first result.
type ReadExtentFn struct{ Options Options }

func init() {
	beam.RegisterType(reflect.TypeFor[Extent]())
	beam.RegisterDoFn(&ReadExtentFn{})
}

// How long a bounded read tries to reach a broker.
const boundedPatience = time.Minute

// ProcessElement is called by the SDK.
func (f *ReadExtentFn) ProcessElement(ctx context.Context, e Extent, emit func(*Batch)) error {
	r := &reader{options: f.Options, broker: newBroker(endpointOf(f.Options.Run), f.Options.Topic)}
	defer r.broker.close()
	var seen *seenIDs
	if f.Options.DedupeMs > 0 && e.Start < e.End {
		seen = r.remember(ctx, e.Partition, e.Start)
	}
	c := r.newCursor(found{id: e.Partition, start: e.Start, from: -1})
	send := func(a *answer) bool {
		if seen != nil {
			seen.dropDuplicates(a)
		}
		b := &Batch{Records: a.records}
		for n := len(b.Records); n > 0 && b.Records[n-1].place() >= e.End; n-- {
			b.Records = b.Records[:n-1]
		}
		if len(b.Records) > 0 {
			emit(b)
		}
		return true
	}
	for silent := time.Now(); c.offset < e.End; {
		err := r.read(ctx, c, time.Now(), send)
		if err == nil {
			silent = time.Now()
			continue
		}
		if time.Since(silent) > boundedPatience {
			return fmt.Errorf("gave up after %v: %w", boundedPatience, err)
		}
		readErrors.WithLabelValues("fetch").Inc()
		r.broker.forgetLeaders()
		if !clock.Sleep(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}
