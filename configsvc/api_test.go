package configsvc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/internal/host"
	"pulseboard/internal/service"
	"pulseboard/registry"
)

// nowhere is for tests of the API alone, where Run is not called.
type nowhere struct{}

func (nowhere) Sync(context.Context, registry.Desired, registry.Desired) error { return nil }

func newAPI(t *testing.T, path string, reg prometheus.Registerer) (*Service, *httptest.Server) {
	t.Helper()
	s, err := New(Config{
		Store: openTestSQLite(t, path), Registry: nowhere{}, Rules: testRules(),
		Shared: host.Shared{Metrics: reg, Log: slog.New(slog.DiscardHandler)},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return s, srv
}

// response is an answer, read whole.
type response struct {
	status int
	header http.Header
	body   []byte
}

func (r response) dashboard(t *testing.T) (d answer) {
	t.Helper()
	if err := json.Unmarshal(r.body, &d); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
	return d
}

func (r response) problem(t *testing.T) (p service.Problem) {
	t.Helper()
	if err := json.Unmarshal(r.body, &p); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
	return p
}

// do sends a request; header holds names and values by turns.
func do(t *testing.T, srv *httptest.Server, method, path, body string, header ...string) response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	if body != "" && req.Header["Content-Type"] == nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return response{res.StatusCode, res.Header, b}
}

func newDB(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "p.db")
}

const oneWidget = `{"title":"Web","tags":["team-a"],"widgets":[{"widget_id":"` + idA + `","metric_name":"m","aggregation":"avg","window_seconds":60}]}`

func TestLifeOfADashboard(t *testing.T) {
	_, srv := newAPI(t, newDB(t), nil)

	made := do(t, srv, "POST", "/dashboards", oneWidget)
	d := made.dashboard(t)
	if made.status != 201 || made.header.Get("Location") != "/dashboards/"+d.ID || made.header.Get("ETag") != `"1"` || d.Version != 1 || d.Warnings != nil {
		t.Fatalf("%d %v %s", made.status, made.header, made.body)
	}
	path := "/dashboards/" + d.ID

	got := do(t, srv, "GET", path, "")
	if got.status != 200 || got.header.Get("ETag") != `"1"` || !bytes.Equal(got.body, made.body) || strings.Contains(string(got.body), "warnings") {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
	if r := do(t, srv, "HEAD", path, ""); r.status != 200 || r.header.Get("ETag") != `"1"` || len(r.body) != 0 {
		t.Errorf("HEAD: %d %v %q", r.status, r.header, r.body)
	}
	if r := do(t, srv, "GET", path, "", "If-None-Match", `W/"1"`); r.status != 304 || len(r.body) != 0 || r.header.Get("ETag") != `"1"` {
		t.Errorf("If-None-Match: %d %q", r.status, r.body)
	}
	if r := do(t, srv, "GET", path, "", "If-None-Match", `"2"`); r.status != 200 {
		t.Errorf("If-None-Match of another version: %d", r.status)
	}

	// What was read can be put back.
	put := do(t, srv, "PUT", path, string(got.body), "If-Match", `"1"`)
	d2 := put.dashboard(t)
	if put.status != 200 || d2.Version != 2 || put.header.Get("ETag") != `"2"` || d2.Warnings != nil || d2.Widgets[0].ID != idA {
		t.Errorf("PUT: %d %s", put.status, put.body)
	}

	patched := do(t, srv, "PATCH", path, `{"title":"New","tags":null,"colour":1}`, "If-Match", `"1", "2"`, "Content-Type", "application/merge-patch+json; charset=utf-8")
	d3 := patched.dashboard(t)
	if patched.status != 200 || d3.Version != 3 || d3.Title != "New" || len(d3.Tags) != 0 || len(d3.Widgets) != 1 || len(d3.Warnings) != 1 || d3.Warnings[0].Pointer != "/colour" {
		t.Errorf("PATCH: %d %s", patched.status, patched.body)
	}

	widgets := do(t, srv, "PATCH", path+"/widgets", `{"`+idA+`":{"window_seconds":5},"add":[{"metric_name":"n","aggregation":"max","window_seconds":1}]}`, "If-Match", `"3"`)
	d4 := widgets.dashboard(t)
	if widgets.status != 200 || d4.Version != 4 || len(d4.Widgets) != 2 || d4.Widgets[0].WindowSeconds != 5 {
		t.Errorf("PATCH widgets: %d %s", widgets.status, widgets.body)
	}

	if r := do(t, srv, "DELETE", path, "", "If-Match", `"4"`); r.status != 204 || len(r.body) != 0 {
		t.Errorf("DELETE: %d %s", r.status, r.body)
	}
	for _, m := range []string{"GET", "PUT", "PATCH", "DELETE"} {
		if r := do(t, srv, m, path, oneWidget, "If-Match", "*"); r.status != 404 {
			t.Errorf("%s of the deleted one: %d %s", m, r.status, r.body)
		}
	}
}

func TestStatusCodes(t *testing.T) {
	_, srv := newAPI(t, newDB(t), nil)
	if r := do(t, srv, "POST", "/dashboards", `{"dashboard_id":"`+idC+`",`+oneWidget[1:]); r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	const path = "/dashboards/" + idC
	large := `{"title":"` + strings.Repeat("x", maxDocument) + `"}`
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		errors                   []string
	}{
		{"unknown path", "GET", "/nothing", "", nil, 404, nil},
		{"trailing slash", "GET", "/dashboards/", "", nil, 404, nil},
		{"unknown method", "DELETE", "/dashboards", "", nil, 405, nil},
		{"unknown method", "POST", path, "{}", nil, 405, nil},
		{"invented method", "BREW", path, "", nil, 405, nil},
		{"no such dashboard", "GET", "/dashboards/" + idB, "", nil, 404, nil},
		{"no id", "GET", "/dashboards/x", "", nil, 404, nil},
		{"no such dashboard, no If-Match", "DELETE", "/dashboards/" + idB, "", nil, 404, nil},
		{"empty body", "POST", "/dashboards", "", []string{"Content-Type", "application/json"}, 400, nil},
		{"not JSON", "POST", "/dashboards", "{", nil, 400, nil},
		{"trailing garbage", "POST", "/dashboards", oneWidget + "x", nil, 400, nil},
		{"two values", "POST", "/dashboards", oneWidget + oneWidget, nil, 400, nil},
		{"form", "POST", "/dashboards", oneWidget, []string{"Content-Type", "text/plain"}, 415, nil},
		{"no type", "POST", "/dashboards", oneWidget, []string{"Content-Type", ""}, 415, nil},
		{"merge patch as document", "POST", "/dashboards", oneWidget, []string{"Content-Type", "application/merge-patch+json"}, 415, nil},
		{"no object", "POST", "/dashboards", "[]", nil, 422, []string{""}},
		{"rules", "POST", "/dashboards", `{"title":1,"widgets":[{}]}`, nil, 422, []string{"/title", "/widgets/0/metric_name", "/widgets/0/aggregation", "/widgets/0/window_seconds"}},
		{"too large", "POST", "/dashboards", large, nil, 413, nil},
		{"id in use", "POST", "/dashboards", `{"dashboard_id":"` + idC + `"}`, nil, 409, []string{"/dashboard_id"}},
		{"no If-Match", "PUT", path, oneWidget, nil, 428, nil},
		{"no If-Match", "PATCH", path, "{}", nil, 428, nil},
		{"no If-Match", "PATCH", path + "/widgets", "{}", nil, 428, nil},
		{"no If-Match", "DELETE", path, "", nil, 428, nil},
		{"If-Match without quotes", "PUT", path, oneWidget, []string{"If-Match", "1"}, 400, nil},
		{"stale", "PUT", path, oneWidget, []string{"If-Match", `"9"`}, 412, nil},
		{"stale", "PATCH", path, "{}", []string{"If-Match", `"9"`}, 412, nil},
		{"stale and wrong", "PATCH", path, `{"title":1}`, []string{"If-Match", `"9"`}, 412, nil},
		{"stale", "PATCH", path + "/widgets", "{}", []string{"If-Match", `"9"`}, 412, nil},
		{"stale", "DELETE", path, "", []string{"If-Match", `"9"`}, 412, nil},
		{"weak and another", "DELETE", path, "", []string{"If-Match", `W/"2"`}, 412, nil},
		{"changed id", "PUT", path, `{"dashboard_id":"` + idB + `"}`, []string{"If-Match", "*"}, 422, []string{"/dashboard_id"}},
		{"changed id", "PATCH", path, `{"dashboard_id":"` + idB + `"}`, []string{"If-Match", "*"}, 422, []string{"/dashboard_id"}},
		{"patch is no object", "PATCH", path, `[]`, []string{"If-Match", "*"}, 422, []string{""}},
		{"patch is null", "PATCH", path, `null`, []string{"If-Match", "*"}, 422, []string{""}},
		{"patch breaks a rule", "PATCH", path, `{"title":1,"widgets":[1]}`, []string{"If-Match", "*"}, 422, []string{"/title", "/widgets/0"}},
		{"patch is not JSON", "PATCH", path, `{]`, []string{"If-Match", "*"}, 400, nil},
		{"patch too large", "PATCH", path, large, []string{"If-Match", "*"}, 413, nil},
		{"widgets break a rule", "PATCH", path + "/widgets", `{"` + idA + `":{"refresh_interval_seconds":0},"add":[{"metric_name":"m","aggregation":"x","window_seconds":1}]}`, []string{"If-Match", "*"}, 422, []string{"/" + idA + "/refresh_interval_seconds", "/add/0/aggregation"}},
		{"limit", "GET", "/dashboards?limit=0", "", nil, 400, nil},
		{"limit", "GET", "/dashboards?limit=x", "", nil, 400, nil},
		{"limit", "GET", "/dashboards?limit=201", "", nil, 400, nil},
		{"cursor", "GET", "/dashboards?cursor=!", "", nil, 400, nil},
		{"cursor", "GET", "/dashboards?cursor=AAAA", "", nil, 400, nil},
	} {
		t.Run(c.name+" "+c.method, func(t *testing.T) {
			r := do(t, srv, c.method, c.path, c.body, c.header...)
			p := r.problem(t)
			if r.status != c.status || r.header.Get("Content-Type") != "application/problem+json" || p.Status != c.status || p.Title == "" || p.Detail == "" {
				t.Fatalf("%d %s, want %d", r.status, r.body, c.status)
			}
			var pointers []string
			for _, e := range p.Errors {
				pointers = append(pointers, e.Pointer)
			}
			if !slices.Equal(pointers, c.errors) {
				t.Errorf("errors at %q, want %q", pointers, c.errors)
			}
			switch c.status {
			case 405:
				if !strings.Contains(r.header.Get("Allow"), "GET") {
					t.Errorf("Allow: %q", r.header.Get("Allow"))
				}
			case 412:
				if r.header.Get("ETag") != `"1"` || !strings.Contains(p.Detail, "version 1") {
					t.Errorf("ETag %q, detail %q: want the current version", r.header.Get("ETag"), p.Detail)
				}
			}
		})
	}
	// Nothing of all this changed it.
	if r := do(t, srv, "GET", path, ""); r.header.Get("ETag") != `"1"` {
		t.Errorf("ETag %s", r.header.Get("ETag"))
	}
}

// A patch that is small itself must not make a document that is too large.
func TestDocumentGrownTooLarge(t *testing.T) {
	_, srv := newAPI(t, newDB(t), nil)
	values := make([]string, 100)
	for i := range values {
		values[i] = fmt.Sprintf("%q", fmt.Sprintf("%03d%s", i, strings.Repeat("v", 200)))
	}
	widget := `{"metric_name":"m","aggregation":"avg","window_seconds":1,"filter":{"a":[` + strings.Join(values, ",") + `]}}`
	add := `{"add":[` + strings.Repeat(widget+",", 19) + widget + `]}`
	id := do(t, srv, "POST", "/dashboards", "{}").dashboard(t).ID
	for range 2 {
		if r := do(t, srv, "PATCH", "/dashboards/"+id+"/widgets", add, "If-Match", "*"); r.status != 200 {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	if r := do(t, srv, "PATCH", "/dashboards/"+id+"/widgets", add, "If-Match", "*"); r.status != 413 {
		t.Errorf("%d %.300s", r.status, r.body)
	}
	if d := do(t, srv, "GET", "/dashboards/"+id, "").dashboard(t); d.Version != 3 || len(d.Widgets) != 40 {
		t.Errorf("version %d with %d widgets", d.Version, len(d.Widgets))
	}
}

func TestListPages(t *testing.T) {
	_, srv := newAPI(t, newDB(t), nil)
	if r := do(t, srv, "GET", "/dashboards", ""); r.status != 200 || string(r.body) != `{"dashboards":[],"next":null}` {
		t.Errorf("%d %s", r.status, r.body)
	}
	for i := range 5 {
		do(t, srv, "POST", "/dashboards", fmt.Sprintf(`{"title":"d%d","tags":["t%d","all"],"widgets":[{"metric_name":"m","aggregation":"avg","window_seconds":1}]}`, i, i%2))
	}
	do(t, srv, "POST", "/dashboards", `{"title":"draft of d1","tags":["all","t1","pulseboard:draft"]}`)
	var titles []string
	next := ""
	for {
		r := do(t, srv, "GET", "/dashboards?limit=2&tag=all&tag=&cursor="+next, "")
		var p DashboardPage
		if err := json.Unmarshal(r.body, &p); err != nil || strings.Contains(string(r.body), "metric_name") {
			t.Fatalf("%v %s", err, r.body)
		}
		for _, d := range p.Dashboards {
			titles = append(titles, d.Title)
		}
		if p.Next == nil {
			break
		}
		next = *p.Next
	}
	if got := strings.Join(titles, " "); got != "d0 d1 d2 d3 d4" {
		t.Errorf("titles %s", got)
	}
	for query, want := range map[string]int{
		"query=D3": 1, "tag=t1": 2, "tag=t1&tag=all": 2, "tag=t1&tag=t0": 0, "query=zz": 0, "query=t0&limit=200": 3,
		"query=draft": 0, "tag=pulseboard:draft": 1, "tag=pulseboard:draft&tag=t1": 1, "tag=pulseboard:draft&tag=t0": 0, "tag=pulseboard:": 0,
	} {
		var p DashboardPage
		if err := json.Unmarshal(do(t, srv, "GET", "/dashboards?"+query, "").body, &p); err != nil || len(p.Dashboards) != want {
			t.Errorf("%s: %d dashboards, %v; want %d", query, len(p.Dashboards), err, want)
		}
	}
}

// Every edit that was answered with 200 must be there in the end, with ETags
// and with If-Match: *.
func TestConcurrentEditorsLoseNothing(t *testing.T) {
	_, srv := newAPI(t, newDB(t), nil)
	id := do(t, srv, "POST", "/dashboards", "{}").dashboard(t).ID
	const editors, edits = 4, 8
	var mu sync.Mutex
	accepted, refused := map[string]bool{}, 0
	var wg sync.WaitGroup
	for e := range editors {
		wg.Go(func() {
			tag := "*"
			for n := range edits {
				if e%2 == 0 {
					tag = do(t, srv, "GET", "/dashboards/"+id, "").header.Get("ETag")
				}
				title := fmt.Sprintf("%d-%d", e, n)
				r := do(t, srv, "PATCH", "/dashboards/"+id+"/widgets", `{"add":[{"metric_name":"m","aggregation":"avg","window_seconds":1,"display_config":{"title":"`+title+`"}}]}`, "If-Match", tag)
				mu.Lock()
				switch r.status {
				case 200:
					accepted[title] = true
				case 412:
					refused++
				default:
					t.Errorf("%d %s", r.status, r.body)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	d := do(t, srv, "GET", "/dashboards/"+id, "").dashboard(t)
	if len(d.Widgets) != len(accepted) || d.Version != int64(1+len(accepted)) || len(accepted)+refused != editors*edits {
		t.Errorf("%d widgets in version %d; %d edits were accepted and %d refused", len(d.Widgets), d.Version, len(accepted), refused)
	}
	for _, w := range d.Widgets {
		delete(accepted, w.Display.Title)
	}
	if len(accepted) > 0 {
		t.Errorf("lost: %v", accepted)
	}
}

func TestRestartOnTheSameFile(t *testing.T) {
	path := newDB(t)
	_, first := newAPI(t, path, nil)
	made := do(t, first, "POST", "/dashboards", oneWidget)
	first.Close()
	_, second := newAPI(t, path, nil)
	got := do(t, second, "GET", made.header.Get("Location"), "")
	if got.status != 200 || !bytes.Equal(got.body, made.body) {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// gathered returns the values of a metric by its labels.
func gathered(t *testing.T, reg prometheus.Gatherer, name string) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			if f.GetName() == name {
				out[strings.Join(labels, " ")] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return out
}

func TestRequestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	_, srv := newAPI(t, newDB(t), reg)
	do(t, srv, "GET", "/dashboards", "")
	do(t, srv, "GET", "/dashboards/"+idA, "")
	do(t, srv, "GET", "/dashboards/"+idB, "")
	do(t, srv, "BREW", "/x/y", "")
	for labels, want := range map[string]float64{
		"method=GET route=/dashboards status=200":     1,
		"method=GET route=/dashboards/:id status=404": 2,
		"method=none route=none status=404":           1,
	} {
		if got := gathered(t, reg, "pulseboard_configsvc_requests_total")[labels]; got != want {
			t.Errorf("%s: %v requests, want %v", labels, got, want)
		}
	}
}

// The file lists exactly the routes that there are.
func TestOpenAPIIsTrue(t *testing.T) {
	s, srv := newAPI(t, newDB(t), nil)
	r := do(t, srv, "GET", "/openapi.yaml", "")
	if r.status != 200 || !bytes.HasPrefix(r.body, []byte("openapi: 3.1")) {
		t.Fatalf("%d %.60s", r.status, r.body)
	}
	var listed, served []string
	path := ""
	for line := range strings.Lines(string(r.body)) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "  /") {
			path = strings.Trim(line, " :")
		}
		if line == "components:" {
			break
		}
		if m := strings.Trim(line, " :"); strings.HasPrefix(line, "    ") && slices.Contains([]string{"get", "put", "post", "patch", "delete"}, m) {
			listed = append(listed, strings.ToUpper(m)+" "+path)
		}
	}
	for _, route := range s.handler.(*gin.Engine).Routes() {
		if route.Method != http.MethodHead {
			served = append(served, route.Method+" "+strings.NewReplacer(":id", "{id}", ":version", "{version}").Replace(route.Path))
		}
	}
	slices.Sort(listed)
	slices.Sort(served)
	if !slices.Equal(listed, served) {
		t.Errorf("listed %q, served %q", listed, served)
	}
}

func TestConfigIsChecked(t *testing.T) {
	store := openTestSQLite(t, newDB(t))
	for _, c := range []Config{
		{},
		{Store: store},
		{Store: store, Registry: nowhere{}, Rules: Rules{SliceMs: -1}},
		{Store: store, Registry: nowhere{}, Rules: Rules{MaxWindowSeconds: 86_401}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("accepted %+v", c)
		}
	}
}
