package ingest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"sync"
	"time"

	"pulseboard/metric"
)

// Bounds of a record, of protocol.md, "Kafka".
const (
	maxRecordEvents = 1000
	maxRecordBytes  = 512 << 10
)

// record is some events of one metric of one request, on its way to Kafka.
type record struct {
	ctx         context.Context //nolint:containedctx // The request's: it says how long the record is wanted.
	metric      string
	value       []byte
	id          string
	traceparent string
	stamp       time.Time
	events      []int // Their indexes in the request.

	done *sync.WaitGroup // Told when err is decided.
	err  error           // Why it is not acknowledged.
}

// group is the events of one metric that make one record.
type group struct {
	events []metric.Event
	index  []int
	bytes  int // Of the events' JSON, about.
	chunk  int // Its number in the request.
}

// split divides events, whose places in the request are index, into groups that
// fit into records, in the order of the first event of each. It depends on
// nothing but the body, so that the same request has the same chunks again.
func split(events []metric.Event, index []int) []*group {
	var groups []*group
	open := make(map[string]*group)
	for i := range events {
		e := &events[i]
		g := open[e.Metric]
		size := eventBytes(e)
		if g == nil || len(g.events) == maxRecordEvents || g.bytes+size > maxRecordBytes {
			g = &group{chunk: len(groups), bytes: len(`{"metric_name":"","events":[]}`) + len(e.Metric)}
			groups = append(groups, g)
			open[e.Metric] = g
		}
		g.events = append(g.events, *e)
		g.index = append(g.index, index[i])
		g.bytes += size
	}
	return groups
}

// eventBytes is at least what the event takes in a record.
func eventBytes(e *metric.Event) int {
	n := len(`{"value":,"tags":{},"event_time":},`) + 24 + 15
	for _, t := range e.Tags {
		n += len(`"":"",`) + len(t.Key) + 6*len(t.Value) // A control character takes six.
	}
	return n
}

// inTime removes the events of g whose time is out of bounds on arrival and
// gives their faults to reject.
func (g *group) inTime(l metric.Limits, arrival int64, reject func(int, metric.Fault)) {
	kept := 0
	for i := range g.events {
		e := &g.events[i]
		if e.Time != 0 {
			if code := l.Check(e.Time, arrival); code != "" {
				reject(g.index[i], timeFault(code, e.Time, arrival, l))
				continue
			}
		}
		g.events[kept], g.index[kept] = g.events[i], g.index[i]
		kept++
	}
	g.events, g.index = g.events[:kept], g.index[:kept]
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
