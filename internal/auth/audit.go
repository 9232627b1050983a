package auth

import (
	"errors"
	"net/http"
	"time"

	"pulseboard/internal/audit"
)

// CheckRequest is Check for a request, whose refusal goes into the audit log.
func (g *Guard) CheckRequest(r *http.Request, secret string, need Scope) (Grant, error) {
	grant, err := g.Check(secret, need)
	if err != nil {
		g.Report(g.From(r), err)
	}
	return grant, err
}

// From is where a request comes from, for a Report after it has ended.
func (g *Guard) From(r *http.Request) audit.From {
	if g == nil {
		return audit.From{}
	}
	return g.audit.From(r)
}

// Report puts the error of a check into the audit log.
func (g *Guard) Report(from audit.From, err error) {
	var d *Denied
	if g == nil || !errors.As(err, &d) {
		return
	}
	g.audit.Refuse(from, audit.Refusal{Reason: string(d.Outcome), Token: d.Token.Name, Need: string(d.Need)})
}

// TokenEntry is a line of the audit log about a token of a file, without its hash.
func TokenEntry(event, file string, e Entry) audit.Entry {
	line := audit.Entry{Event: event, Token: e.Name, File: file, Scopes: Names(e.Scopes)}
	if !e.Expires.IsZero() {
		line.Expires = &e.Expires
	}
	return line
}

// noteChanges tells what a changed file says of tokens.
func (g *Guard) noteChanges(before, after []Entry) {
	if g.audit == nil {
		return
	}
	was := make(map[string]Entry, len(before))
	for _, e := range before {
		was[e.Name] = e
	}
	for _, e := range after {
		old, there := was[e.Name]
		delete(was, e.Name)
		switch {
		case !there:
			g.audit.Note(TokenEntry(audit.TokenAdded, g.path, e))
		case old.Hash != e.Hash || joined(old.Scopes) != joined(e.Scopes) || !old.Expires.Equal(e.Expires):
			g.audit.Note(TokenEntry(audit.TokenChanged, g.path, e))
		}
	}
	for _, e := range before {
		if _, gone := was[e.Name]; gone {
			g.audit.Note(TokenEntry(audit.TokenRemoved, g.path, e))
		}
	}
}

// noteExpired tells of tokens that have expired since it was called last.
func (g *Guard) noteExpired(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.file {
		if e.expired(now) && !e.expired(g.lapsed) {
			g.audit.Note(TokenEntry(audit.TokenExpired, g.path, e))
		}
	}
	g.lapsed = now
}
