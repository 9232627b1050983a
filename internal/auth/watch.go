package auth

import (
	"context"

	"pulseboard/internal/audit"
	"pulseboard/internal/clock"
)

// sight is what a look at the file found: its text, or why there is none.
type sight struct{ text, fault string }

// Run looks at the file until ctx ends, then returns nil.
//
// It reads the file rather than its time and size: some kilobytes are read in no
// time, a file system's clock may be too coarse for two changes in a row, and
// the links that Kubernetes swaps below a mounted secret need no thought.
func (g *Guard) Run(ctx context.Context) error {
	if g == nil {
		<-ctx.Done()
		return nil
	}
	for range clock.Every(ctx, g.every) {
		g.look()
	}
	return nil
}

// look puts a changed file in force, once two looks in a row have found the same text:
// a file that is being written in place is cut off for a moment, and the first half of
// a list of tokens is a valid list.
func (g *Guard) look() {
	g.noteExpired(g.now())
	now := g.sight()
	settled := now == g.seen
	g.seen = now
	if !settled || now == g.judged {
		return
	}
	g.judged = now
	if now.fault != "" {
		g.keep(now.fault)
		return
	}
	entries, err := parseFile(g.path, now.text)
	if err != nil {
		g.keep(err.Error())
		return
	}
	g.mu.Lock()
	before := g.file
	g.mu.Unlock()
	g.adopt(entries)
	g.noteChanges(before, entries)
	g.metrics.reloads.Inc()
	g.metrics.unusable.Set(0)
	g.log.Info("the tokens file was read again", "file", g.path, "tokens", len(entries))
	g.warnIfOpen()
}

func (g *Guard) sight() sight {
	text, err := readFile(g.path)
	if err != nil {
		return sight{fault: err.Error()}
	}
	return sight{text: text}
}

// keep leaves the tokens from before in force: a file that is gone, empty or
// broken is a mistake of the moment, and would lock everybody out.
func (g *Guard) keep(fault string) {
	g.metrics.failures.Inc()
	g.metrics.unusable.Set(1)
	g.audit.Note(audit.Entry{Event: audit.TokensUnusable, File: g.path, Error: fault})
	g.log.Error("the changed tokens file cannot be used: the tokens from before stay in force, those that were to be removed too", "error", fault)
}
