package canary

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

const (
	welcomed = `{"type":"welcome","server_time":1,"heartbeat_ms":5000,"dashboard":{"id":"x","version":1},"widgets":[` +
		`{"index":0,"widget_id":"of somebody","metric_key":"k","refresh_ms":1000},{"index":1,"widget_id":"` + widgetID + `","metric_key":"k","refresh_ms":1000}]}`
	listed = `{"type":"series","index":1,"series_version":"v","series":[{"tags":{"instance":"other"}},{"tags":{"instance":"me"}}]}`
)

func TestFrames(t *testing.T) {
	for _, c := range []struct {
		name     string
		messages []string
		want     string // Of the windows: end, sum, "!" when they are not complete, "@" when the time of sending is known.
	}{
		{"a snapshot", []string{
			welcomed, `{"type":"snapshot","index":1,"state":"live","reset":true,"series_version":"v","series":[{"tags":{"instance":"me"}}],` +
				`"covered_since":1000,"points":[[25000,24500,[4]],[26000,25500,[20]],[27000,null,[null]]]}`,
		}, "25=4! 26=20 27=0"},
		{"a snapshot without results", []string{welcomed, `{"type":"snapshot","index":1,"state":"waiting","reset":true,"series_version":"","series":[],"covered_since":null,"points":[]}`}, ""},
		{"that of another widget", []string{welcomed, `{"type":"snapshot","index":0,"series":[],"covered_since":0,"points":[[25000,1,[4]]]}`}, ""},
		{"updates", []string{
			welcomed, listed, `{"type":"update","server_time":30100,"updates":[[0,30000,1,"w",[7]],[1,30000,29500,"v",[1,64]]],"skipped":0}`,
			`{"type":"update","server_time":31100,"updates":[[1,31000,29500,"v",null]],"skipped":0}`,
			`{"type":"update","server_time":32100,"updates":[[1,32000,29500,"v",[1,256],{"start":9000,"complete":false}]],"skipped":0}`,
		}, "30=64@ 31=64@ 32=256!@"},
		{"an instance that no series has yet", []string{
			welcomed, `{"type":"series","index":1,"series_version":"v","series":[{"tags":{"instance":"other"}}]}`,
			`{"type":"update","server_time":30100,"updates":[[1,30000,29500,"v",[1]]],"skipped":0}`,
		}, "30=0@"},
		{"the place changes with the list", []string{
			welcomed, listed, `{"type":"series","index":1,"series_version":"w","series":[{"tags":{"instance":"me"}}]}`,
			`{"type":"update","server_time":30100,"updates":[[1,30000,29500,"w",[16]]],"skipped":0}`,
		}, "30=16@"},
		{"the index changes with the dashboard", []string{
			welcomed, `{"type":"dashboard","version":2,"widgets":[{"index":0,"widget_id":"` + widgetID + `"}]}`,
			`{"type":"series","index":0,"series_version":"w","series":[{"tags":{"instance":"me"}}]}`,
			`{"type":"update","server_time":30100,"updates":[[0,30000,29500,"w",[16]],[1,30000,29500,"w",[17]]],"skipped":0}`,
		}, "30=16@"},
		{"in parts", []string{
			`{"type":"welcome","server_time":1,"heartbeat_ms":5000,"widgets":[{"index":0,"widget_id":"of somebody"}],"more":true}`,
			`{"type":"widgets","widgets":[{"index":1,"widget_id":"` + widgetID + `"}],"more":true}`, `{"type":"widgets","widgets":[{"index":2,"widget_id":"of others"}]}`,
			`{"type":"series","index":1,"series_version":"v","series":[{"tags":{"instance":"other"}}],"more":true}`,
			`{"type":"series","index":1,"series_version":"v","from":1,"series":[{"tags":{"instance":"me"}}],"more":true}`,
			`{"type":"series","index":1,"series_version":"v","from":2,"series":[{"tags":{"instance":"third"}}]}`,
			`{"type":"snapshot","index":1,"state":"stale","reset":true,"series_version":"v","series":null,"covered_since":0,"points":[[25000,24500,[1,4,2]]],"more":true}`,
			`{"type":"snapshot","index":1,"state":"live","reset":false,"series_version":"v","series":null,"covered_since":0,"points":[[26000,25500,[1,20,2]]]}`,
		}, "25=4 26=20"},
		{"what it does not know", []string{welcomed, `{"type":"heartbeat","server_time":1}`, `{"type":"state","index":1,"state":"stale","detail":"d"}`, `{"type":"of tomorrow"}`, `{}`}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFrames("me")
			var got []string
			for _, m := range c.messages {
				windows, err := f.read([]byte(m))
				if err != nil {
					t.Fatalf("%s: %v", m, err)
				}
				for _, w := range windows {
					text := fmt.Sprintf("%d=%v", w.end, w.sum)
					if !w.complete {
						text += "!"
					}
					if !w.sent.IsZero() {
						text += "@"
					}
					got = append(got, text)
				}
			}
			if got := strings.Join(got, " "); got != c.want {
				t.Errorf("windows %q, want %q", got, c.want)
			}
		})
	}
}

func TestFramesThatEndAStream(t *testing.T) {
	for _, c := range []struct{ message, want string }{
		{`{"type":"close","code":4404,"reason":"there is no such dashboard","reconnect_after_ms":0}`, "the gateway closed the stream, 4404: there is no such dashboard"},
		{`{"type":"dashboard","version":2,"widgets":[]}`, "the canary's dashboard has lost its widget"},
		{`nothing`, "cannot read a message of the stream"},
		{`{"type":"update","updates":[[]]}`, "a list has 0 members, 5 are needed"},
		{`{"type":"update","updates":[[1,5000,null,"v"]]}`, "a list has 4 members, 5 are needed"},
		{`{"type":"snapshot","index":1,"points":[["x"]]}`, "a list has 1 members, 3 are needed"},
	} {
		f := newFrames("me")
		if _, err := f.read([]byte(welcomed)); err != nil {
			t.Fatal(err)
		}
		if _, err := f.read([]byte(c.message)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", c.message, err, c.want)
		}
	}
	var gone *closed
	if _, err := newFrames("me").read([]byte(`{"type":"close","code":4401}`)); !errors.As(err, &gone) || gone.code != 4401 {
		t.Errorf("error %v", err)
	}
}

// Whatever a gateway sends, it is read or refused.
func FuzzFrames(f *testing.F) {
	f.Add(listed, `{"type":"update","server_time":30100,"updates":[[1,30000,29500,"v",[1,64],{"complete":false}]],"skipped":0}`)
	f.Add(listed, `{"type":"snapshot","index":1,"series":[{"tags":{"instance":"me"}}],"covered_since":1000,"points":[[25000,24500,[4]]]}`)
	f.Add(`{"type":"dashboard","widgets":[]}`, `{"type":"close","code":4401}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		frames := newFrames("me")
		for _, m := range []string{welcomed, a, b} {
			windows, err := frames.read([]byte(m))
			if err == nil && len(m) < 4 && len(windows) > 0 {
				t.Errorf("%q shows %v", m, windows)
			}
			if frames.silence < shortestSilence || frames.silence > longestSilence {
				t.Errorf("%q: the stream may be silent for %v", m, frames.silence)
			}
		}
	})
}
