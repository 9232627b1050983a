package configsvc

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

func (r response) versions(t *testing.T) (p VersionPage) {
	t.Helper()
	if err := json.Unmarshal(r.body, &p); err != nil || r.status != 200 {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	return p
}

func actions(p VersionPage) string {
	var out []string
	for _, v := range p.Versions {
		s := fmt.Sprintf("%d %s", v.Version, v.Action)
		if v.RestoredFrom != nil {
			s += fmt.Sprintf(" from %d", *v.RestoredFrom)
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

// Somebody spoils a dashboard and deletes it; somebody else looks what it was and brings it back.
func TestHistoryAndRestore(t *testing.T) {
	_, srv := newAPI(t, newDB(t), nil)
	made := do(t, srv, "POST", "/dashboards", oneWidget)
	path := made.header.Get("Location")
	do(t, srv, "PUT", path, `{"title":"spoilt"}`, "If-Match", `"1"`)

	was := do(t, srv, "GET", path+"/versions/1", "")
	if was.status != 200 || was.header.Get("ETag") != `"1"` || string(was.body) != string(made.body) {
		t.Errorf("version 1: %d %s, want what was made", was.status, was.body)
	}
	restored := do(t, srv, "POST", path+"/versions/1/restore", "", "If-Match", `"2"`)
	if d := restored.dashboard(t); restored.status != 200 || d.Version != 3 || d.Title != "Web" || len(d.Widgets) != 1 || restored.header.Get("ETag") != `"3"` {
		t.Fatalf("restore: %d %s", restored.status, restored.body)
	}
	if got := do(t, srv, "GET", path, ""); string(got.body) != string(restored.body) {
		t.Errorf("it is %s, the answer was %s", got.body, restored.body)
	}

	do(t, srv, "DELETE", path, "", "If-Match", `"3"`)
	list := do(t, srv, "GET", path+"/versions", "")
	if got, want := actions(list.versions(t)), "4 deleted, 3 restored from 1, 2 changed, 1 created"; got != want || list.header.Get("ETag") != `"4"` {
		t.Errorf("versions %s with ETag %s, want %s", got, list.header.Get("ETag"), want)
	}
	back := do(t, srv, "POST", path+"/versions/2/restore", "", "If-Match", list.header.Get("ETag"))
	if d := back.dashboard(t); back.status != 200 || d.Version != 5 || d.Title != "spoilt" {
		t.Errorf("restore of the deleted one: %d %s", back.status, back.body)
	}
	if got := do(t, srv, "GET", path, ""); got.status != 200 {
		t.Errorf("it did not come back: %d", got.status)
	}
}

func TestVersionPages(t *testing.T) {
	_, srv := newAPI(t, newDB(t), nil)
	path := do(t, srv, "POST", "/dashboards", oneWidget).header.Get("Location")
	for range 4 {
		do(t, srv, "PATCH", path, `{}`, "If-Match", "*")
	}
	var all []string
	next := ""
	for {
		p := do(t, srv, "GET", path+"/versions?limit=2&cursor="+next, "").versions(t)
		all = append(all, actions(p))
		if p.Next == nil {
			break
		}
		next = *p.Next
	}
	if got, want := strings.Join(all, " | "), "5 changed, 4 changed | 3 changed, 2 changed | 1 created"; got != want {
		t.Errorf("pages %s, want %s", got, want)
	}
}

func TestVersionFaults(t *testing.T) {
	_, srv := newAPI(t, newDB(t), nil)
	path := do(t, srv, "POST", "/dashboards", oneWidget).header.Get("Location")
	gone := do(t, srv, "POST", "/dashboards", `{}`).header.Get("Location")
	do(t, srv, "DELETE", gone, "", "If-Match", "*")
	for _, c := range []struct {
		method, path, ifMatch string
		status                int
		detail                string
	}{
		{"GET", "/dashboards/" + idB + "/versions", "", 404, "there is no dashboard"},
		{"GET", "/dashboards/x/versions", "", 404, "there is no dashboard"},
		{"GET", path + "/versions?cursor=x", "", 400, "cursor"},
		{"GET", path + "/versions?cursor=0", "", 400, "cursor"},
		{"GET", path + "/versions?limit=1000", "", 400, "limit is 1000"},
		{"GET", path + "/versions/x", "", 400, "version"},
		{"GET", path + "/versions/2", "", 404, "no version 2"},
		{"GET", gone + "/versions/2", "", 404, "is the deletion"},
		{"POST", gone + "/versions/2/restore", "*", 404, "is the deletion"},
		{"POST", path + "/versions/1/restore", "", 428, "If-Match"},
		{"POST", path + "/versions/1/restore", "1", 400, "quotes"},
		{"POST", path + "/versions/1/restore", `"7"`, 412, "version 1"},
		{"POST", path + "/versions/9/restore", "*", 404, "no version 9"},
		{"POST", "/dashboards/" + idB + "/versions/1/restore", "*", 404, "there is no dashboard"},
	} {
		var header []string
		if c.ifMatch != "" {
			header = []string{"If-Match", c.ifMatch}
		}
		r := do(t, srv, c.method, c.path, "", header...)
		if p := r.problem(t); r.status != c.status || p.Status != c.status || !strings.Contains(p.Detail, c.detail) {
			t.Errorf("%s %s If-Match %q: %d %s, want %d with %q", c.method, c.path, c.ifMatch, r.status, r.body, c.status, c.detail)
		}
	}
}

// A version that breaks the rules of today is not brought back.
func TestRestoreChecksTheRules(t *testing.T) {
	path := newDB(t)
	s, srv := newAPI(t, path, nil)
	id := do(t, srv, "POST", "/dashboards", `{"widgets":[{"metric_name":"m","aggregation":"avg","window_seconds":3600}]}`).header.Get("Location")
	do(t, srv, "PUT", id, `{}`, "If-Match", "*")
	strict, err := New(Config{Store: s.store, Registry: nowhere{}, Rules: Rules{MaxWindowSeconds: 600}})
	if err != nil {
		t.Fatal(err)
	}
	second := httptest.NewServer(strict.Handler())
	defer second.Close()
	r := do(t, second, "POST", id+"/versions/1/restore", "", "If-Match", "*")
	if p := r.problem(t); r.status != 422 || len(p.Errors) != 1 || p.Errors[0].Pointer != "/widgets/0/window_seconds" {
		t.Errorf("%d %s", r.status, r.body)
	}
}
