package gateway_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulseboard/e2e/testenv"
	"pulseboard/gateway"
	"pulseboard/internal/auth"
)

// upgrade dials with the header Authorization.
func (w *world) upgrade(bearer string) (*browser, int) {
	w.t.Helper()
	d := websocket.Dialer{Subprotocols: []string{"pulseboard.v1"}}
	ws, res, err := d.DialContext(w.t.Context(), "ws"+strings.TrimPrefix(w.url, "http")+"/stream/"+dashboard, http.Header{"Authorization": {"Bearer " + bearer}})
	if res == nil {
		w.t.Fatal(err)
	}
	_ = res.Body.Close()
	if err != nil {
		return nil, res.StatusCode
	}
	w.t.Cleanup(func() { _ = ws.Close() })
	return &browser{w.t, ws}, res.StatusCode
}

func helloWith(token string) string { return fmt.Sprintf(`{"type":"hello","token":%q}`, token) }

// refused reads the close message and the close frame, and says why.
func (b *browser) refused() string {
	b.t.Helper()
	last, code := b.closed()
	if last.Type != "close" || last.Code != code {
		b.t.Errorf("the close message is %+v, the frame has %d", last, code)
	}
	return fmt.Sprintf("%d %s", code, last.Reason)
}

// Who may open a stream and read a snapshot.
func TestTokens(t *testing.T) {
	w := open(t, func(c *gateway.Config) { c.Guard = testenv.Guard(t, "ingest", "view", "edit", "admin") })
	w.show(1, oneKey)
	w.publish(w.result(oneKey, now()-1000, 1))

	for said, want := range map[string]string{
		hello:                          "4401 a token is needed",
		helloWith(""):                  "4401 a token is needed",
		`{"type":"hello","token":1}`:   "4401 a token is needed",
		helloWith("nobody"):            "4401 the token is not known",
		helloWith("ingest"):            `4401 the token "ingest" lacks the scope view`,
		helloWith("view"):              "",
		helloWith("edit"):              "",
		helloWith("admin"):             "",
		`{"type":"play"}` + "\n" + "{": "4400 a message is not JSON text", // Nothing is told about tokens before a hello.
	} {
		b := w.dial(dashboard)
		for line := range strings.SplitSeq(said, "\n") {
			b.say(line)
		}
		if want != "" {
			if got := b.refused(); got != want {
				t.Errorf("%s: %s, want %s", said, got, want)
			}
			continue
		}
		b.next("welcome")
		b.next("snapshot")
	}

	for token, want := range map[string]int{"nobody": 401, "ingest": 403, "view": 101, "admin": 101} {
		b, status := w.upgrade(token)
		if status != want {
			t.Errorf("the upgrade with %s: %d", token, status)
		}
		if b != nil {
			b.say(hello)
			b.next("welcome")
		}
	}
	// What the hello says goes before the header.
	b, _ := w.upgrade("view")
	b.say(helloWith("nobody"))
	if got := b.refused(); got != "4401 the token is not known" {
		t.Error(got)
	}

	path := "/dashboards/" + dashboard + "/widgets/w:" + oneKey + "/snapshot"
	for token, want := range map[string]int{"": 401, "nobody": 401, "ingest": 403, "view": 200, "edit": 200} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _ = res.Body.Close(); res.StatusCode != want {
			t.Errorf("the snapshot as %q: %s", token, res.Status)
		}
	}
	for _, open := range []string{"/openapi.yaml"} {
		res, err := http.Get(w.url + open)
		if err != nil {
			t.Fatal(err)
		}
		if _ = res.Body.Close(); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", open, res.Status)
		}
	}
}

// A stream ends with its token: when that is removed, and when it expires. The
// streams of other tokens go on.
func TestStreamEndsWithItsToken(t *testing.T) {
	var clock atomic.Int64
	clock.Store(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC).Unix())
	file := filepath.Join(t.TempDir(), "tokens.yaml")
	entry := func(name string, scope auth.Scope) auth.Entry {
		return auth.Entry{Name: name, Scopes: []auth.Scope{scope}, Hash: auth.DigestOf(name)}
	}
	short := entry("short", auth.View)
	short.Expires = time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)
	for _, e := range []auth.Entry{entry("stays", auth.View), entry("goes", auth.View), entry("shrinks", auth.View), short} {
		if err := auth.Add(file, e); err != nil {
			t.Fatal(err)
		}
	}
	guard, err := auth.Open(file, auth.Config{
		Every: 5 * time.Millisecond, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Unix(clock.Load(), 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- guard.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	w := open(t, func(c *gateway.Config) { c.Guard, c.Heartbeat = guard, 100*time.Millisecond })
	w.show(1, oneKey)

	watch := func(token string) *browser { return w.watch(helloWith(token)) }
	stays, goes, shrinks, expires := watch("stays"), watch("goes"), watch("shrinks"), watch("short")
	byHeader, status := w.upgrade("goes")
	if status != http.StatusSwitchingProtocols {
		t.Fatal(status)
	}
	byHeader.say(hello)
	byHeader.next("welcome")

	if err := auth.Remove(file, "goes"); err != nil {
		t.Fatal(err)
	}
	for _, b := range []*browser{goes, byHeader} {
		if got := b.refused(); got != "4401 the token is not known" {
			t.Error(got)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	i := strings.Index(string(text), "shrinks")
	if err := os.WriteFile(file, []byte(string(text[:i])+strings.Replace(string(text[i:]), "view", "ingest", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := shrinks.refused(); got != `4401 the token "shrinks" lacks the scope view` {
		t.Error(got)
	}
	clock.Store(short.Expires.Unix())
	if got := expires.refused(); got != `4401 the token "short" has expired` {
		t.Error(got)
	}
	w.publish(w.result(oneKey, now()-1000, 7))
	if got := stays.value(); got != "7" {
		t.Errorf("the other stream: %s", got)
	}
}

// value waits for a value of the first widget, in a snapshot or an update.
func (b *browser) value() string {
	b.t.Helper()
	for {
		m, err := b.read(false)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, p := range m.Points {
			return text(p.values)
		}
		for _, u := range m.Updates {
			return text(u.values)
		}
	}
}
