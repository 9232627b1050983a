package configsvc

import (
	"fmt"
	"strings"
	"testing"
)

// A proxy that compresses makes W/"1" of "1". Lists, * and several headers are RFC 9110's.
func TestEntityTags(t *testing.T) {
	_, srv := newAPI(t, newDB(t), nil)
	path := do(t, srv, "POST", "/dashboards", `{"title":"a"}`).header.Get("Location")
	version := 1
	for _, c := range []struct {
		ifMatch []string // %d is the version that is there.
		status  int
		detail  string
	}{
		{[]string{`"%d"`}, 200, ""},
		{[]string{`W/"%d"`}, 200, ""},
		{[]string{` W/"%d" `}, 200, ""},
		{[]string{`*`}, 200, ""},
		{[]string{`"x,y", W/"%d"`}, 200, ""},
		{[]string{`W/"0",W/"%d",`}, 200, ""},
		{[]string{`, ,"%d"`}, 200, ""},
		{[]string{`"0"`, `W/"%d"`}, 200, ""},
		{[]string{`"0"`, `"00"`}, 412, "has version"},
		{[]string{`W/"0"`}, 412, `If-Match: "`},
		{[]string{`"%d0"`}, 412, "read it again"},
		{[]string{`"W/%d"`}, 412, "read it again"},
		{[]string{`%d`}, 400, `If-Match is "`},
		{[]string{`w/"%d"`}, 400, `such as "7"`},
		{[]string{`W/%d`}, 400, `such as "7"`},
		{[]string{`"%d`}, 400, `such as "7"`},
		{[]string{`*, "%d"`}, 400, `such as "7"`},
		{[]string{`"%d" "0"`}, 400, `such as "7"`},
		{[]string{`,`}, 428, "If-Match"},
		{nil, 428, "If-Match"},
	} {
		for _, change := range []struct{ method, path, body string }{
			{"PATCH", path, `{"title":"b"}`}, {"PUT", path, `{"title":"c"}`}, {"PATCH", path + "/widgets", `{}`}, {"POST", path + "/versions/1/restore", ""},
		} {
			if c.status == 200 && change.path == path+"/widgets" {
				continue
			}
			r := do(t, srv, change.method, change.path, change.body, named("If-Match", c.ifMatch, version)...)
			if r.status != c.status || c.status != 200 && !strings.Contains(r.problem(t).Detail, c.detail) {
				t.Errorf("%s %s with If-Match %q: %d %s, want %d with %q", change.method, change.path, c.ifMatch, r.status, r.body, c.status, c.detail)
			}
			if r.status == 200 {
				version = int(r.dashboard(t).Version)
			}
		}
	}
	for _, c := range []struct {
		header []string
		status int
	}{
		{[]string{`W/"%d"`}, 304},
		{[]string{`"%d"`}, 304},
		{[]string{`*`}, 304},
		{[]string{`"0"`, `"%d"`}, 304},
		{[]string{`"0", W/"%d"`}, 304},
		{[]string{`"0"`}, 200},
		{[]string{`%d`}, 200},
	} {
		if r := do(t, srv, "GET", path, "", named("If-None-Match", c.header, version)...); r.status != c.status {
			t.Errorf("If-None-Match %q: %d, want %d", c.header, r.status, c.status)
		}
	}
	if r := do(t, srv, "DELETE", path, "", named("If-Match", []string{`"0"`, `W/"%d"`}, version)...); r.status != 204 {
		t.Errorf("DELETE: %d %s", r.status, r.body)
	}
}

// named are the lines of a header by name and value, %d being the version.
func named(name string, values []string, version int) []string {
	var out []string
	for _, v := range values {
		out = append(out, name, strings.ReplaceAll(v, "%d", fmt.Sprint(version)))
	}
	return out
}
