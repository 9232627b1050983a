package auth

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/internal/audit"
)

// Config is what a guard needs beside its file.
type Config struct {
	// Every is how often the file is looked at. A change counts once two looks
	// agree, so within twice as long. 0 = 500 ms.
	Every time.Duration
	// Metrics is where the guard registers its metrics; nil = nowhere.
	Metrics prometheus.Registerer
	// Log is where it reports; nil = slog.Default().
	Log *slog.Logger
	// Audit keeps refusals and what becomes of tokens; nil = nobody does.
	Audit *audit.Log
	// Now is the clock that tokens expire by; nil = time.Now.
	Now func() time.Time
}

// Guard holds the tokens. All its methods may be called at the same time, and
// of a nil Guard, which allows everything.
type Guard struct {
	path    string
	every   time.Duration
	metrics *metrics
	log     *slog.Logger
	audit   *audit.Log
	now     func() time.Time

	known atomic.Pointer[map[Digest]Entry] // Replaced, never changed.

	mu     sync.Mutex // Of what known is made of.
	file   []Entry
	memory []Entry

	seen, judged sight     // Only look's.
	lapsed       time.Time // Tokens that expired before have been told.
}

// Open returns the guard of a tokens file; without one (path "") nil, which
// allows everything. Run must be called for changes to be seen.
func Open(path string, c Config) (*Guard, error) {
	if path == "" {
		return nil, nil
	}
	c.Every, c.Log = cmp.Or(c.Every, 500*time.Millisecond), cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	text, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w; make it with pulseboard token create --file, or take --tokens away to serve this machine alone", err)
	}
	entries, err := parseFile(path, text)
	if err != nil {
		return nil, err
	}
	g := &Guard{path: path, every: c.Every, metrics: newMetrics(c.Metrics), log: c.Log, audit: c.Audit, now: c.Now, lapsed: c.Now(), seen: sight{text: text}}
	g.judged = g.seen
	g.adopt(entries)
	g.warnIfOpen()
	return g, nil
}

// warnIfOpen says so when others of this machine can read the file, where they find
// hashes, which are of no use, or when a group can write it, which may be meant.
// One that everybody can write is not used at all (see secret.Read).
func (g *Guard) warnIfOpen() {
	info, err := os.Stat(g.path)
	if err != nil {
		return
	}
	if info.Mode().Perm()&0o004 != 0 {
		g.log.Warn("every user of this machine can read the tokens file; chmod o-r it", "file", g.path)
	}
	if info.Mode().Perm()&0o020 != 0 {
		g.log.Warn("a group can write the tokens file, and so let anybody in; chmod g-w it, unless that is meant", "file", g.path)
	}
}

// adopt puts the tokens of the file in force.
func (g *Guard) adopt(entries []Entry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.file = entries
	g.metrics.tokens.Set(float64(len(entries)))
	g.publish()
}

// AddInMemory makes a token of this process for its own requests, which no file
// holds, and returns it; of a nil Guard "".
func (g *Guard) AddInMemory(name string, allowed ...Scope) (secret string) {
	if g == nil {
		return ""
	}
	secret = NewSecret()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.memory = append(g.memory, Entry{Name: name, Scopes: allowed, Hash: DigestOf(secret)})
	g.publish()
	return secret
}

func (g *Guard) publish() {
	known := make(map[Digest]Entry, len(g.file)+len(g.memory))
	for _, e := range slices.Concat(g.file, g.memory) {
		known[e.Hash] = e
	}
	g.known.Store(&known)
}

// Check looks a token up, "" = none was given, and counts the outcome. The error
// is a *Denied.
func (g *Guard) Check(secret string, need Scope) (Grant, error) {
	if g == nil {
		return Grant{}, nil
	}
	var grant Grant
	denied := &Denied{Outcome: NoToken, Need: need}
	if secret != "" {
		grant = Grant{guard: g, digest: DigestOf(secret), need: need}
		denied = grant.denied()
	}
	if denied != nil {
		g.metrics.requests.WithLabelValues(string(need), string(denied.Outcome)).Inc()
		return Grant{}, denied
	}
	g.metrics.requests.WithLabelValues(string(need), outcomeAllowed).Inc()
	return grant, nil
}

// Grant is what a token was allowed, for connections that outlive its check.
type Grant struct {
	guard  *Guard // Nil = everything is allowed.
	digest Digest
	need   Scope
}

// Given reports whether a token was allowed, rather than none needed.
func (t Grant) Given() bool { return t.guard != nil }

// Name is that of the token, "" when none was needed or it was taken out since.
func (t Grant) Name() string {
	if t.guard == nil {
		return ""
	}
	return (*t.guard.known.Load())[t.digest].Name
}

// Err says why the token would not be allowed any more: it was taken out, has
// expired, or lost its scope. It is cheap enough to be asked all the time.
func (t Grant) Err() error {
	if t.guard == nil {
		return nil
	}
	if d := t.denied(); d != nil {
		return d
	}
	return nil
}

func (t Grant) denied() *Denied {
	e, ok := (*t.guard.known.Load())[t.digest]
	switch {
	case !ok:
		return &Denied{Outcome: UnknownToken, Need: t.need}
	case e.expired(t.guard.now()):
		return &Denied{Outcome: Expired, Need: t.need, Token: e}
	case !e.allows(t.need):
		return &Denied{Outcome: MissingScope, Need: t.need, Token: e}
	}
	return nil
}
