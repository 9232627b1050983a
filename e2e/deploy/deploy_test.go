package deploy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"pulseboard/e2e/testenv"
)

// All of compose.yaml, as local processes: events go in and come out at nginx, a
// client stays with its gateway and does without it, Prometheus sees everything, and
// the operators' way to upgrade loses nothing.
func TestCompose(t *testing.T) {
	testenv.NeedReal(t)
	if _, ok := installed("nginx"); !ok {
		t.Skip("nginx is not installed: it is in Debian's package nginx-light")
	}
	m := newMachine(t)
	s := &site{m: m}
	s.token = s.tokens("create", "--name", "first", "--scopes", "admin")
	// compose run --rm tokens sh -c 'pulseboard token create … > /etc/pulseboard/canary.token'
	token := m.here("tokens", "tokens", "/etc/pulseboard/canary.token")
	if err := os.WriteFile(token, []byte(s.tokens("create", "--name", "canary", "--scopes", "ingest,edit")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range m.compose.order(t) {
		// The canary comes when nobody counts streams any more.
		if len(m.compose.Services[name].Profiles) == 0 && name != "canary" {
			m.up(name)
		}
	}

	s.needsToken()
	s.makeDashboard()
	s.send(3)
	cookie := s.cookie()
	first := s.open(cookie)
	first.until("the count of all events", s.sent)
	s.sameGateway(cookie, first)
	s.rotate()
	m.up("canary")
	s.prometheus()
	s.canary()
	s.workerComesBack()
	s.upgrade(cookie)
}

// site is the whole, as its users see it.
type site struct {
	m         *machine
	token     string
	dashboard string
	sent      float64
}

// tokens is compose run --rm tokens pulseboard token.
func (s *site) tokens(args ...string) string {
	t, m, name := s.m.t, s.m, "tokens"
	t.Helper()
	c := m.compose.Services[name]
	cmd := exec.CommandContext(t.Context(), program(t, c.Command[0]), append([]string{"token"}, args...)...)
	for v, value := range c.Environment {
		cmd.Env = append(cmd.Env, v+"="+m.here(name, name, value))
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("token %v: %v: %s", args, err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// needsToken asks for everything without a token, and with one that nobody made.
func (s *site) needsToken() {
	s.m.t.Helper()
	good := s.token
	for _, s.token = range []string{"", "pb_nobody"} {
		s.request(http.MethodPost, "/ingest", []any{}, http.StatusUnauthorized, nil)
		s.request(http.MethodGet, "/dashboards", nil, http.StatusUnauthorized, nil)
		s.request(http.MethodPost, "/dashboards", map[string]any{}, http.StatusUnauthorized, nil)
		s.request(http.MethodGet, "/dashboards/x/widgets/y/snapshot", nil, http.StatusUnauthorized, nil)
	}
	s.token = good
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		s.request(http.MethodGet, path, nil, http.StatusNotFound, nil) // Not for everybody.
	}
}

// rotate is what docs/access.md says: a new token counts without a restart, and
// when the old one is removed its streams end.
func (s *site) rotate() {
	t := s.m.t
	t.Helper()
	id := make([]byte, 16)
	_, _ = rand.Read(id) // It does not fail.
	old := s.open(&http.Cookie{Value: hex.EncodeToString(id)})
	s.token = s.tokens("create", "--name", "second", "--scopes", "admin")
	s.m.until("a value with the new token", func(ctx context.Context) error {
		st, _, err := s.dial(ctx, hex.EncodeToString(id))
		if err != nil {
			return err
		}
		select {
		case _, ok := <-st.values:
			if !ok {
				return errors.New("the stream was ended")
			}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	s.tokens("remove", "--name", "first")
	for ended := false; !ended; {
		select {
		case _, more := <-old.values:
			ended = !more
		case <-t.Context().Done():
			t.Fatal("the stream outlives its token")
		}
	}
	s.m.until("the new token at the other services", func(ctx context.Context) error {
		for path, method := range map[string]string{"/dashboards": http.MethodGet, "/ingest": http.MethodPost} {
			req, err := http.NewRequestWithContext(ctx, method, s.m.url(path), strings.NewReader("[]"))
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+s.token)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			if _ = res.Body.Close(); res.StatusCode != http.StatusOK {
				return errors.New(res.Status)
			}
		}
		return nil
	})
}

// request sends a document to nginx, and returns the cookies that are set.
func (s *site) request(method, path string, body any, status int, answer any) []*http.Cookie {
	s.m.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		s.m.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.m.t.Context(), method, s.m.url(path), bytes.NewReader(b))
	if err != nil {
		s.m.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.m.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	if res.StatusCode != status {
		s.m.t.Fatalf("%s %s: %s", method, path, res.Status)
	}
	if answer != nil {
		if err := json.NewDecoder(res.Body).Decode(answer); err != nil {
			s.m.t.Fatal(err)
		}
	}
	return res.Cookies()
}

// makeDashboard counts the events of one metric over ten minutes, longer than the test.
func (s *site) makeDashboard() {
	s.m.t.Helper()
	var made struct {
		ID string `json:"dashboard_id"`
	}
	s.request(http.MethodPost, "/dashboards", map[string]any{"title": "Compose", "widgets": []map[string]any{
		{"metric_name": "compose.events", "aggregation": "count", "window_seconds": 600},
	}}, http.StatusCreated, &made)
	s.dashboard = made.ID
}

func (s *site) send(n int) {
	s.m.t.Helper()
	events := make([]map[string]any, n)
	for i := range events {
		events[i] = map[string]any{"metric_name": "compose.events", "value": 1}
	}
	var answer struct{ Accepted int }
	s.request(http.MethodPost, "/ingest", events, http.StatusOK, &answer)
	if answer.Accepted != n {
		s.m.t.Fatalf("%d of %d events were accepted", answer.Accepted, n)
	}
	s.sent += float64(n)
}

const cookieName = "pulseboard_client"

// cookie opens the page for the first time, and once more.
func (s *site) cookie() *http.Cookie {
	s.m.t.Helper()
	t := s.m.t
	var c *http.Cookie
	all := s.request(http.MethodGet, "/", nil, http.StatusOK, nil)
	for _, set := range all {
		if set.Name == cookieName {
			c = set
		}
	}
	if c == nil || !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(c.Value) || !c.HttpOnly || c.Path != "/" || c.SameSite != http.SameSiteLaxMode {
		t.Fatalf("the page came with %v, and no client id", all)
	}
	for value, sets := range map[string]bool{c.Value: false, "of somebody else": true} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.m.url("/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Cookie", cookieName+"="+value)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if got := len(res.Cookies()) > 0; got != sets {
			t.Errorf("with the cookie %q a new one is set: %v", value, got)
		}
	}
	return c
}

// stream is one WebSocket through nginx.
type stream struct {
	m      *machine
	conn   *websocket.Conn
	values chan float64 // Each that was shown; closed with the connection.
}

func (s *site) dial(ctx context.Context, cookie string) (*stream, []*http.Cookie, error) {
	dialer := websocket.Dialer{Subprotocols: []string{"pulseboard.v1"}}
	header := http.Header{"Cookie": {cookieName + "=" + cookie}, "Origin": {s.m.url("")}} // As the page does.
	conn, res, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(s.m.url("/stream/"), "http")+s.dashboard, header)
	if err != nil {
		return nil, nil, err
	}
	_ = res.Body.Close()
	if err := conn.WriteJSON(map[string]any{"type": "hello", "token": s.token}); err != nil {
		return nil, nil, err
	}
	st := &stream{m: s.m, conn: conn, values: make(chan float64, 10_000)}
	go st.read()
	s.m.t.Cleanup(func() { _ = conn.Close() })
	return st, res.Cookies(), nil
}

// open is what a page does until it has a stream.
func (s *site) open(cookie *http.Cookie) *stream {
	s.m.t.Helper()
	var st *stream
	s.m.until("a stream", func(ctx context.Context) (err error) {
		var set []*http.Cookie
		if st, set, err = s.dial(ctx, cookie.Value); err == nil && len(set) > 0 {
			err = fmt.Errorf("a client with an id got another: %v", set)
		}
		return err
	})
	return st
}

func (st *stream) read() {
	defer close(st.values)
	for {
		_, text, err := st.conn.ReadMessage()
		if err != nil {
			return
		}
		var message struct {
			Points  [][]any `json:"points"`
			Updates [][]any `json:"updates"`
		}
		if json.Unmarshal(text, &message) != nil {
			continue
		}
		for _, p := range message.Points {
			st.show(p, 2)
		}
		for _, u := range message.Updates {
			st.show(u, 4)
		}
	}
}

// show takes the value of the one series, if it is new.
func (st *stream) show(of []any, at int) {
	if len(of) <= at {
		return
	}
	values, _ := of[at].([]any)
	if len(values) == 1 {
		if v, ok := values[0].(float64); ok {
			st.values <- v
		}
	}
}

// until waits for a value. One beyond it would be an event that counted twice.
func (st *stream) until(what string, want float64) {
	st.m.t.Helper()
	last := -1.0
	st.m.until(what, func(context.Context) error {
		for {
			select {
			case v, ok := <-st.values:
				if last = v; !ok {
					st.m.t.Fatalf("waiting for %s: the stream ended", what)
				}
				if v > want {
					st.m.t.Fatalf("%s: %v of %v: some were counted twice", what, v, want)
				}
				if v == want {
					return nil
				}
			default:
				return fmt.Errorf("%v of %v", last, want)
			}
		}
	})
}

var gateways = []string{"gateway-1", "gateway-2"}

// connections returns how many streams each gateway has.
func (s *site) connections(ctx context.Context) (map[string]int, error) {
	all := map[string]int{}
	for _, g := range gateways {
		text, err := get(ctx, "http://"+s.m.addr(g, "8083")+"/metrics")
		if err != nil {
			return nil, err
		}
		var n int
		_, line, _ := strings.Cut(text, "\npulseboard_gateway_connections ")
		if _, err := fmt.Sscan(line, &n); err != nil {
			return nil, err
		}
		all[g] = n
	}
	return all, nil
}

// sameGateway: connections with one cookie reach one gateway, those with others
// both; and when that gateway is killed, the client does with the other.
func (s *site) sameGateway(cookie *http.Cookie, first *stream) {
	t := s.m.t
	t.Helper()
	for range 3 {
		s.open(cookie)
	}
	home := ""
	s.m.until("four streams with one cookie", func(ctx context.Context) error {
		n, err := s.connections(ctx)
		if err == nil && n[gateways[0]]+n[gateways[1]] < 4 {
			err = fmt.Errorf("%v", n)
		}
		for g := range n {
			if n[g] == 4 {
				home = g
			}
		}
		return err
	})
	if home == "" {
		t.Fatal("connections with one cookie are at several gateways")
	}
	for range 16 { // By chance all at one: once in 65,000 runs.
		id := make([]byte, 16)
		_, _ = rand.Read(id) // It does not fail.
		s.open(&http.Cookie{Value: hex.EncodeToString(id)})
	}
	s.m.until("streams at both gateways", func(ctx context.Context) error {
		n, err := s.connections(ctx)
		if err == nil && (n[gateways[0]] == 0 || n[gateways[1]] == 0) {
			err = fmt.Errorf("%v", n)
		}
		return err
	})

	s.m.kill(home)
	for ended := false; !ended; {
		select {
		case _, more := <-first.values:
			ended = !more
		case <-t.Context().Done():
			t.Fatal("the stream outlives its gateway")
		}
	}
	s.send(2)
	s.open(cookie).until("the count at the other gateway", s.sent)
	s.m.up(home)
}

// prometheus asks it whether every target answers and every rule can be
// evaluated, and whether Flink has the metrics of the alerts.
func (s *site) prometheus() {
	t, m := s.m.t, s.m
	t.Helper()
	if m.running["prometheus"] == nil {
		return
	}
	api := func(ctx context.Context, path string, into any) error {
		text, err := get(ctx, "http://"+m.addr("prometheus", "9090")+"/api/v1/"+path)
		if err != nil {
			return err
		}
		return json.Unmarshal([]byte(text), into)
	}
	m.until("all targets of Prometheus", func(ctx context.Context) error {
		var targets struct {
			Data struct {
				Active []struct {
					Pool      string `json:"scrapePool"`
					URL       string `json:"scrapeUrl"`
					Health    string `json:"health"`
					LastError string `json:"lastError"`
				} `json:"activeTargets"`
			} `json:"data"`
		}
		if err := api(ctx, "targets", &targets); err != nil {
			return err
		}
		for _, target := range targets.Data.Active {
			if target.Health != "up" {
				return fmt.Errorf("%s at %s: %s: %s", target.Pool, target.URL, target.Health, target.LastError)
			}
		}
		if n := len(targets.Data.Active); n != 10 {
			return fmt.Errorf("%d targets", n)
		}
		return nil
	})
	m.until("all rules of Prometheus", func(ctx context.Context) error {
		var rules struct {
			Data struct {
				Groups []struct {
					Rules []struct{ Name, Health, LastError string } `json:"rules"`
				} `json:"groups"`
			} `json:"data"`
		}
		if err := api(ctx, "rules", &rules); err != nil {
			return err
		}
		n := 0
		for _, g := range rules.Data.Groups {
			for _, r := range g.Rules {
				if n++; r.Health != "ok" {
					return fmt.Errorf("%s: %s: %s", r.Name, r.Health, r.LastError)
				}
			}
		}
		if n != len(alerts(t)) {
			return fmt.Errorf("%d rules of %d", n, len(alerts(t)))
		}
		return nil
	})
	m.until("metrics of Flink and others", func(ctx context.Context) error {
		var names struct {
			Data []string `json:"data"`
		}
		if err := api(ctx, "label/__name__/values", &names); err != nil {
			return err
		}
		all := " " + strings.Join(names.Data, " ") + " "
		for _, o := range others {
			if !strings.Contains(all, " "+o.name+" ") {
				return fmt.Errorf("nothing has the metric %s", o.name)
			}
		}
		return nil
	})
}

// canary waits for verdicts on events that went in and out at nginx.
func (s *site) canary() {
	s.m.t.Helper()
	s.m.until("verdicts of the canary", func(ctx context.Context) error {
		text, err := get(ctx, "http://"+s.m.addr("canary", "8084")+"/metrics")
		if err != nil {
			return err
		}
		for _, verdict := range []string{"lost", "twice", "unseen"} {
			if !strings.Contains(text, "pulseboard_canary_verdicts_total{verdict=\""+verdict+"\"} 0\n") {
				s.m.t.Fatalf("the canary says that events were %s:\n%s", verdict, text)
			}
		}
		if strings.Contains(text, "pulseboard_canary_verdicts_total{verdict=\"counted\"} 0\n") {
			return errors.New("none yet")
		}
		return nil
	})
}

// workerComesBack: one that is killed is started again, where Prometheus looks for it.
func (s *site) workerComesBack() {
	s.m.t.Helper()
	worker := testenv.Child(s.m.running["taskmanager-1"].Pid(), "--provision_endpoint")
	if worker == 0 {
		s.m.t.Fatal("the TaskManager has no worker")
	}
	if err := syscall.Kill(worker, syscall.SIGKILL); err != nil {
		s.m.t.Fatal(err)
	}
	s.m.until("the next worker", func(ctx context.Context) error {
		if pid := testenv.Child(s.m.running["taskmanager-1"].Pid(), "--provision_endpoint"); pid == 0 || pid == worker {
			return fmt.Errorf("it is %d", pid)
		}
		return s.workers(ctx)
	})
}

// workers asks each where it serves its metrics.
func (s *site) workers(ctx context.Context) error {
	for _, instance := range s.m.instances("taskmanager") {
		text, err := get(ctx, "http://"+s.m.addr(instance, "9464")+"/metrics")
		if err != nil {
			return err
		}
		if !strings.Contains(text, "pulseboard_source_lag_seconds{") {
			return fmt.Errorf("the worker of %s reads no partition", instance)
		}
	}
	return nil
}

// upgrade is what docs/operations.md says: the job ends with a savepoint, for
// which submit ends too, and goes on from it, with another parallelism.
func (s *site) upgrade(cookie *http.Cookie) {
	t, m := s.m.t, s.m
	t.Helper()
	rest := "--rest=http://" + m.addr("jobmanager", "8081")
	try := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), program(t, "pipeline"), append(args, rest)...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("pipeline %v: %w: %s", args, err, out)
		}
		return string(out), err
	}
	pipeline := func(args ...string) string {
		t.Helper()
		out, err := try(args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	submit := m.running["submit"]
	delete(m.running, "submit") // It may end now.
	savepoint := ""
	// Flink refuses one while a task is being started again, as after the worker that was killed.
	m.until("the savepoint", func(context.Context) error {
		out, err := try("savepoint", "--stop")
		savepoint = filepath.Base(strings.TrimSpace(out))
		return err
	})
	select {
	case <-submit.Done():
	case <-t.Context().Done():
	}
	if err := submit.Err(); !strings.Contains(err.Error(), "exit code 0") {
		t.Fatalf("an operator ended the job, and submit would be started again: %v", err)
	}
	s.send(4)
	args := m.compose.Services["submit"].Command
	i := slices.Index(args, "--parallelism=2")
	if i < 0 {
		t.Fatal("submit has another parallelism; this test knows 2")
	}
	args[i] = "--parallelism=4"
	m.up("submit")
	s.open(cookie).until("the count after the upgrade", s.sent)
	status := ""
	m.until("a checkpoint after the upgrade", func(context.Context) error {
		if status = pipeline("status"); !strings.Contains(status, "newest") {
			return errors.New(status)
		}
		return nil
	})
	if !strings.Contains(status, savepoint) {
		t.Errorf("the job did not go on from %s:\n%s", savepoint, status)
	}
	t.Log(status)
	m.until("the workers after the upgrade", s.workers)
}
