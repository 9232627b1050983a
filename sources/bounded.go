package sources

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"pulseboard/internal/clock"
	"pulseboard/job"
)

// Extent is the records of one partition from Start to End, without End.
type Extent struct {
	Partition  int32
	Start, End int64
}

// Extents looks up what a bounded read is to read: from the first records at or
// after startMs (0 = all there are) to the ends that the partitions have now.
// coveredSince is from when on every event is there, epoch ms; 0 = of all time. It fails when Kafka does.
func Extents(ctx context.Context, o Options) (extents []Extent, coveredSince int64, err error) {
	readers, err := job.Of[*Readers](o.Run)
	if err != nil {
		return nil, 0, err
	}
	b := newBroker(readers.kafka, o.Topic)
	defer b.close()
	o.ToEnd = true
	d := discovery{b, &o, Shard{0, 1}, slog.Default()}
	all, err := d.lookUp(ctx, Position{})
	for _, a := range all {
		coveredSince = max(coveredSince, a.coveredSince)
		extents = append(extents, Extent{a.Partition, a.Next, a.end})
	}
	return extents, coveredSince, err
}

// ReadBounded reads extents once, without state and timers, so that the direct
// runner can do it too: PCollection<*Batch>.
func ReadBounded(s beam.Scope, o Options, extents []Extent) beam.PCollection {
	s = s.Scope("ReadKafkaBounded")
	return beam.ParDo(s, &ReadExtentFn{Options: o}, beam.CreateList(s, extents))
}

// ReadExtentFn reads one extent. Records have no pipeline time: it is not needed
// where all records come before the first result.
type ReadExtentFn struct{ Options Options }

func init() {
	beam.RegisterType(reflect.TypeFor[Extent]())
	beam.RegisterDoFn(&ReadExtentFn{})
}

// boundedPatience is how long a bounded read tries to reach a broker.
const boundedPatience = time.Minute

// ProcessElement is called by the SDK. It fails when no broker could be reached for a minute, or ctx ended.
func (f *ReadExtentFn) ProcessElement(ctx context.Context, e Extent, emit func(*Batch)) error {
	o := &f.Options
	readers, err := job.Of[*Readers](o.Run)
	if err != nil {
		return err
	}
	b := newBroker(readers.kafka, o.Topic)
	defer b.close()
	say := slog.With("topic", o.Topic)
	s := newScanner(b.log(e.Partition), o, Offset{Partition: e.Partition, Next: e.Start, From: -1}, newRoom(o.ReadBytes), say, readers.setBack)
	var known *recall
	if e.Start < e.End {
		known = remember(ctx, s, o, e.Start)
	}
	send := func(a *response) bool {
		if known != nil {
			known.leaveOut(a.records)
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
	idle := idleness{log: s.log, options: o}
	for silent := time.Now(); s.offset < e.End; {
		sent := time.Now().Round(0)
		idle.until = sent
		err := s.read(ctx, sent, idle.maxWait(sent), send)
		if err == nil {
			silent = time.Now()
			continue
		}
		if time.Since(silent) > boundedPatience {
			return fmt.Errorf("gave up after %v: %w", boundedPatience, err)
		}
		readErrors.WithLabelValues("fetch").Inc()
		s.log.forgetLeaders()
		if !clock.Sleep(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}
