package property_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"strconv"
	"time"
)

const (
	// paired is a metric that two agents send of the same targets; agentTag tells them apart.
	paired   = "paired"
	agentTag = "agent"
)

// agent scrapes all targets, until it is lost and comes back.
type agent struct {
	name   string
	clock  int64   // How far it is ahead, ms.
	next   []int64 // By target, epoch ms.
	change int64   // When it is lost, or comes back.
	lost   bool
	kept   bool // What it scraped while it was lost it sends when it is back: its network was.
}

// agents are both.
type agents struct {
	rand *rand.Rand
	all  []agent
}

const targets = 4

func newAgents(r *rand.Rand, past time.Time) *agents {
	a := &agents{rand: r}
	for _, name := range []string{"a", "b"} {
		one := agent{name: name, clock: r.Int64N(400) - 200, change: past.UnixMilli() + r.Int64N(10_000)}
		for range targets {
			one.next = append(one.next, past.UnixMilli()+r.Int64N(1000))
		}
		a.all = append(a.all, one)
	}
	return a
}

// batch is the value of a record of what they send now, nil when that is nothing.
func (a *agents) batch(now time.Time) []byte {
	var events []map[string]any
	ms := now.UnixMilli()
	for i := range a.all {
		events = append(events, a.scrape(&a.all[i], ms)...)
	}
	if len(events) == 0 {
		return nil
	}
	text, err := json.Marshal(map[string]any{"metric_name": paired, "events": events})
	if err != nil {
		panic(err) // Of texts and numbers.
	}
	return text
}

func (a *agents) scrape(one *agent, now int64) (events []map[string]any) {
	r := a.rand
	if now >= one.change {
		one.change = now + 2000 + r.Int64N(8000)
		one.lost = !one.lost
		one.kept = one.lost && r.IntN(2) == 0
	}
	if one.lost && one.kept {
		return nil
	}
	for i := range one.next {
		for ; one.next[i] <= now; one.next[i] += 1000 {
			if one.lost || r.IntN(40) == 0 {
				continue
			}
			e := map[string]any{
				"tags": map[string]string{"host": "h" + strconv.Itoa(i), agentTag: one.name}, "event_time": one.next[i] + one.clock, "point": true,
				"kind": "cumulative", "value": one.next[i] / 10 % 1_000_000, // It begins anew now and then.
			}
			switch {
			case r.IntN(60) == 0:
				delete(e, "kind")
				delete(e, "value")
				delete(e, "point")
				e["stale"] = true
			case i%2 == 0:
				e["kind"], e["value"] = "gauge", i
			}
			if events = append(events, e); r.IntN(10) == 0 {
				events = append(events, e)
			}
		}
	}
	return events
}

// pair is what the log of one partition has told of a series with two agents.
type pair []reading

// reading is one that was told.
type reading struct {
	agent    string
	at, came int64 // By its own time, and by the log.
	value    float64
	counter  bool
	heir     bool // From here on those of its agent count.
}

// counts decides whether one more counts, by the rules of docs/semantics.md, "Replicas".
func (p *pair) counts(s reading) bool {
	const horizon = 120_000
	own, ruler, counted, hold, level := int64(-1), "", int64(-1), int64(-1), 0.0
	for _, o := range *p {
		if o.agent == s.agent && s.came-o.came <= horizon {
			own = max(own, o.at)
		}
		if !o.heir {
			continue
		}
		if ruler != o.agent || o.at >= counted {
			counted = o.at
			if o.counter {
				level = o.value
			}
		}
		ruler, hold = o.agent, o.came
	}
	s.heir = true
	fell := false
	if ruler != "" && ruler != s.agent && s.came-hold <= horizon {
		s.heir = s.at > own && s.at > counted && (s.agent < ruler || counted <= own)
		fell = s.counter && s.value < level
	}
	*p = append(*p, s)
	return s.heir && !fell
}

// withoutAgent is tags without the one that tells agents apart.
func withoutAgent(tags map[string]string) map[string]string {
	rest := maps.Clone(tags)
	delete(rest, agentTag)
	return rest
}
