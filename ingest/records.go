package ingest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"sync"
	"time"

	"pulseboard/metric"
	"pulseboard/wire"
)

// Bounds of a record, of docs/protocol.md, "Kafka".
const (
	maxRecordEvents = 1000
	maxRecordBytes  = 512 << 10
)

// record is some events of one metric of one request, on its way to Kafka.
type record struct {
	ctx         context.Context // The request's: it says how long the record is wanted.
	metric      string
	value       []byte
	id          string // Of the request.
	chunk       int    // Its number in the request.
	traceparent string
	stamp       int64 // Arrival, epoch ms.
	events      []int // Their indexes in the request.
	says        bool  // The value ends in what is said of the metric.

	// Upper bounds of its events and encoded bytes, events whose time is out of bounds
	// included: see pack.
	counted, bytes int

	done *sync.WaitGroup // Done is called once err is final.
	err  error           // Why it is not acknowledged; nil = it is.
}

// packer makes the records of a request. It is used again by other requests, and
// so is the memory of its records.
type packer struct {
	records []*record // Of this request, then spare ones.
	n       int
	open    map[string]*record // The newest of each metric.
	due     []bool             // Of what is said of metrics.
}

func newPacker() any { return &packer{open: make(map[string]*record)} }

// pack divides the events of a batch by metric into records (chunks), in the order of the
// first event of each, and leaves out those whose time is out of bounds. The id of a
// record is that of the request and the number of its chunk, and a retry must have the
// same ids. So which chunk an event is in depends on the body alone: events that are too
// late by now, and were not before, count for the bounds of their chunk all the same.
//
// What is said of a metric, and is due, ends the last record of it, or stands in a record without events, which is a
// chunk behind all others: it changes the id of none.
func (p *packer) pack(batch *wire.Batch, l metric.Limits, arrival int64, reject func(int, metric.Fault)) []*record {
	clear(p.open)
	p.n = 0
	var r *record
	for i := range batch.Events {
		e := &batch.Events[i]
		if r == nil || r.metric != e.Metric {
			r = p.open[e.Metric]
		}
		size := wire.RecordEventBytes(e)
		if r == nil || r.counted == maxRecordEvents || r.bytes+size > maxRecordBytes {
			r = p.begin(e.Metric)
		}
		r.counted++
		r.bytes += size
		if e.Time != 0 {
			if code := l.Check(e.Time, arrival, arrival); code != "" {
				reject(batch.Index[i], timeFault(code, e.Time, arrival, l))
				continue
			}
		}
		if len(r.events) > 0 {
			r.value = append(r.value, ',')
		}
		r.value = batch.AppendEvent(r.value, i)
		r.events = append(r.events, batch.Index[i])
	}
	p.say(batch.Said)
	full := make([]*record, 0, p.n)
	for _, r := range p.records[:p.n] {
		if !r.says && len(r.events) > 0 {
			r.value = wire.EndRecord(r.value)
		}
		if r.says || len(r.events) > 0 {
			full = append(full, r)
		}
	}
	return full
}

// say writes what is due of what is said, and lets go of it, as it may be a part of a body.
func (p *packer) say(said []wire.Said) {
	chunks := p.n
	for i, due := range p.due {
		if !due {
			continue
		}
		s := &said[i]
		about := metric.MakeAbout(s.Unit, s.Help)
		if about == (metric.About{}) {
			continue
		}
		r := p.open[s.Metric]
		if r == nil || r.says || len(r.events) == 0 {
			r = p.begin(s.Metric)
			r.chunk = chunks + i
		}
		r.value, r.says = wire.EndRecordSaying(r.value, about.Unit, about.Help), true
	}
	clear(said)
}

func (p *packer) begin(name string) *record {
	if p.n == len(p.records) {
		p.records = append(p.records, new(record))
	}
	r := p.records[p.n]
	*r = record{
		metric: name, chunk: p.n, value: wire.BeginRecord(r.value[:0], name), events: r.events[:0],
		bytes: len(`{"metric_name":"","events":[]}`) + len(name) + wire.SaidBytes,
	}
	p.n++
	p.open[name] = r
	return r
}

// How much memory a packer keeps for its next request.
const (
	spareRecords = 256
	spareBytes   = 64 << 10
)

// trim gives back what an unusual request needed.
func (p *packer) trim() {
	if len(p.records) > spareRecords {
		p.records = slices.Clip(p.records[:spareRecords])
		p.open = make(map[string]*record)
	}
	if cap(p.due) > spareRecords {
		p.due = nil
	}
	for _, r := range p.records {
		*r = record{value: r.value[:0], events: r.events[:0]}
		if cap(r.value) > spareBytes {
			r.value, r.events = nil, nil
		}
	}
}

func timeFault(code string, eventTime, arrival int64, l metric.Limits) metric.Fault {
	age := time.Duration(arrival-eventTime) * time.Millisecond
	if code == metric.CodeTooLate {
		return metric.Fault{Code: code, Detail: "event_time is " + age.String() + " old; at most " + l.Late.String() + " are allowed"}
	}
	return metric.Fault{Code: code, Detail: "event_time is " + (-age).String() + " ahead of the time here; at most " + l.Ahead.String() + " are allowed"}
}

// requestID is what the ids of a request's records begin with: random, or made
// of the client's key and of the body, so that the same key with another body
// is another request.
func requestID(key string, body []byte) string {
	var id [16]byte
	if key == "" {
		_, _ = rand.Read(id[:]) // Never fails.
	} else {
		h := sha256.New()
		h.Write([]byte(strconv.Itoa(len(key)) + ":" + key))
		h.Write(body)
		copy(id[:], h.Sum(nil))
	}
	return hex.EncodeToString(id[:])
}
