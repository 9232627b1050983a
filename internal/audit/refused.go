package audit

import (
	"net/http"
	"sync"
	"time"
	"unicode/utf8"
)

// Refusal is why a request was refused.
type Refusal struct {
	Reason string // Such as no_token, missing_scope, origin, host, rate.
	Token  string // Its name, where it is known.
	Need   string // The scope that was missing.
}

// Refusals of one address for one reason: the first of a minute are written, the
// rest are counted in one line at its end, so that a flood does not fill the disk.
const (
	refusalsWritten = 5
	refusalTime     = time.Minute
	// mostAddresses are counted apart; further ones together.
	mostAddresses = 4096
	mostPath      = 200 // Bytes.
)

// From is where a request comes from and what it is for. Method and Path are what the
// client has sent.
type From struct{ Address, Method, Path string }

// From is where a request comes from.
func (l *Log) From(r *http.Request) From {
	if l == nil {
		return From{}
	}
	return From{Address: l.address(r), Method: cut(r.Method, 20), Path: cut(r.URL.Path, mostPath)}
}

// Refuse keeps a refusal.
func (l *Log) Refuse(from From, why Refusal) {
	if l == nil {
		return
	}
	e := Entry{
		Event: Refused, Reason: why.Reason, Token: why.Token, Need: why.Need,
		Address: from.Address, Method: from.Method, Path: from.Path,
	}
	if l.limits.admit(&e, l.now()) {
		l.Note(e)
	}
}

// RefuseRequest is Refuse for a reason that has nothing to do with tokens.
func (l *Log) RefuseRequest(r *http.Request, reason string) {
	if l != nil {
		l.Refuse(l.From(r), Refusal{Reason: reason})
	}
}

// cut bounds a text of a client's, at the end of a character.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// limits bounds what refusals are written.
type limits struct {
	mu sync.Mutex
	of map[refusalKey]*refusals
}

type refusalKey struct{ address, reason string }

type refusals struct {
	since   time.Time
	written int
	counted int
	last    Entry // Of those counted.
}

func newLimits() *limits { return &limits{of: make(map[refusalKey]*refusals)} }

// admit reports whether a refusal is written rather than counted.
func (l *limits) admit(e *Entry, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := refusalKey{e.Address, e.Reason}
	n := l.of[key]
	if n == nil && len(l.of) >= mostAddresses {
		// A client with ever new addresses counts as one.
		key.address = "others"
		e.Address = key.address
		n = l.of[key]
	}
	if n == nil {
		n = &refusals{since: now}
		l.of[key] = n
	}
	if n.written < refusalsWritten {
		n.written++
		return true
	}
	n.counted++
	n.last = *e
	return false
}

// due returns a line for each that was counted in a minute that is over, or all
// of them, and forgets it.
func (l *limits) due(now time.Time, all bool) (due []Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, n := range l.of {
		if !all && now.Sub(n.since) < refusalTime {
			continue
		}
		if n.counted > 0 {
			e, since := n.last, n.since.UTC()
			e.Count, e.Since = n.counted, &since
			due = append(due, e)
		}
		delete(l.of, key)
	}
	return due
}
