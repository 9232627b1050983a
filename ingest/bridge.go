package ingest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"pulseboard/ingest/bridge"
	"pulseboard/metric"
	"pulseboard/wire"
)

// mostOfRecord is how many events a record of another topic may hold: it is bounded by its bytes.
const mostOfRecord = math.MaxInt32

// OpenTopics makes what reads the topics of Config.OtherTopics; their events go the way of all, until its Run ends, which must be before that
// of the service. It fails when a topic is not there.
func (s *Service) OpenTopics(ctx context.Context) (*bridge.Bridge, error) {
	c := &s.config
	readers := make(map[string]*topicReader)
	names := make([]string, 0, len(c.OtherTopics))
	for _, t := range c.OtherTopics {
		if t.Topic == c.Topic || t.Topic == c.DeadLetter {
			return nil, fmt.Errorf("--topic-format names %s, which Pulseboard writes itself: name topics of others", t.Topic)
		}
		open, err := t.kind.open(s, t.Topic, t.given)
		if err != nil {
			return nil, err // parseTopicFormat has tried it.
		}
		readers[t.Topic] = &topicReader{s: s, kind: t.kind, open: open, counts: s.metrics.of(t.kind.label)}
		names = append(names, t.Topic)
	}
	b, err := bridge.New(bridge.Config{
		Kafka: c.Kafka, Group: "pulseboard-" + c.Topic, Topics: names, DeadLetter: c.DeadLetter, Grace: c.DeliveryTimeout, Metrics: c.Metrics, Log: c.Log,
		Begin: func(ctx context.Context, r *kgo.Record) (bridge.End, error) { return readers[r.Topic].begin(ctx, r) },
	})
	if err != nil {
		return nil, err
	}
	if err := b.Check(ctx); err != nil {
		b.Close()
		return nil, err
	}
	for _, t := range c.OtherTopics {
		c.Log.Info("records of another topic become events", "topic", t.Topic, "format", t.about)
	}
	return b, nil
}

// topicReader makes events of the records of one topic.
type topicReader struct {
	s      *Service
	kind   *topicKind
	open   func() incoming
	counts *formatMetrics
}

// begin starts to write the events of a record. It is written until Kafka has acknowledged it or ctx ends.
func (t *topicReader) begin(ctx context.Context, r *kgo.Record) (bridge.End, error) {
	text := r.Value
	if t.kind.unpack != nil {
		unpacked, fault := t.kind.unpack(r.Value, t.s.config.MaxBody)
		if fault != nil {
			return t.refuse(fault), nil
		}
		text = unpacked
	}
	if len(text) == 0 { // A mark that a key was deleted, in topics that Kafka compacts.
		return func() bridge.Outcome { return bridge.Outcome{} }, nil
	}
	in := t.open()
	batch, no := in.decode(text, mostOfRecord)
	if no != nil {
		in.release(false)
		if no.fault == nil {
			no.fault = &metric.Fault{Code: metric.CodeMalformed, Detail: no.detail}
		}
		return t.refuse(no.fault), nil
	}
	if f := atTime(batch, r.Timestamp.UnixMilli()); f != nil {
		in.release(false)
		return t.refuse(f), nil
	}
	trace := ""
	for _, h := range r.Headers {
		if h.Key == traceHeader {
			trace = traceparent(string(h.Value))
		}
	}
	w, no := t.s.begin(ctx, trace, t.counts, in.release, batch, topicID(r))
	if no != nil {
		return nil, errors.New(no.detail)
	}
	return func() bridge.Outcome {
		o := w.end()
		out := bridge.Outcome{Stored: o.Accepted, Refused: o.Rejected - o.unknown, Unknown: o.unknown}
		for i := range w.v.faults {
			// What is too late is counted, as in the pipeline: dead letters would be all that was written while nobody read.
			if f := &w.v.faults[i].Fault; f.Code != metric.CodeTooLate && f.Code != metric.CodeNotAcknowledged {
				out.Fault = f
				break
			}
		}
		return out
	}, nil
}

// refuse decides a record that cannot be read.
func (t *topicReader) refuse(f *metric.Fault) bridge.End {
	t.counts.rejected.WithLabelValues(f.Code).Inc()
	t.s.recent.refuse(t.s.now().UnixMilli(), t.counts.format, f.Code, f.Detail)
	return func() bridge.Outcome { return bridge.Outcome{Refused: 1, Fault: f} }
}

// topicID is what the ids of a record's events begin with: the same for whoever reads it again, and another where a topic was made anew
// under its name.
func topicID(r *kgo.Record) string {
	return requestID("topic "+r.Topic+" "+strconv.FormatInt(int64(r.Partition), 10)+" "+strconv.FormatInt(r.Offset, 10), r.Value)
}

// atTime gives events without a time that of their record, epoch ms. They are refused where that is none: of the time of reading, a record
// that is read again after minutes would count twice.
func atTime(b *wire.Batch, ms int64) *metric.Fault {
	for i := range b.Events {
		e := &b.Events[i]
		if e.Time != 0 {
			continue
		}
		if f := metric.TimeFault(ms); f != nil {
			f.Detail = "an event without a time has that of its record: " + f.Detail
			return f
		}
		e.Time = ms
		e.Start = min(e.Start, ms) // One that is later cannot be: it is not known.
	}
	return nil
}
