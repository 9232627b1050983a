package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pulseboard/e2e/testenv"
)

// noted is a point that a sender has noted before it wrote it.
type noted struct {
	Host    string
	Time    int64
	Load, N float64
}

// pointsShown says from the journal of a sender alone what widgets of its measurement show: each point counts once. Of one host and one
// time there is one.
func pointsShown(t *testing.T, journal, measurement string) []*shown {
	t.Helper()
	text, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	sum, n, up, last, newest := map[string]float64{}, map[string]float64{}, map[string]float64{}, map[string]float64{}, map[string]int64{}
	seen := map[string]bool{}
	for line := range bytes.Lines(text) {
		var p noted
		if err := json.Unmarshal(line, &p); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if key := fmt.Sprint(p.Host, " ", p.Time); seen[key] {
			t.Fatalf("two points are of %s", key)
		} else {
			seen[key] = true
		}
		sum[p.Host] += p.Load
		n[p.Host] += p.N
		up[p.Host]++
		if p.Time > newest[p.Host] {
			newest[p.Host], last[p.Host] = p.Time, p.Load
		}
	}
	return []*shown{
		{measurement + ".load", "sum", sum},
		{measurement + ".load", "last", last},
		{measurement + ".n", "sum", n},
		{measurement + ".up", "count", up},
		{measurement + ".note", "count", map[string]float64{}},
	}
}

// writes waits until a sender has written so many batches.
func writes(t *testing.T, p *testenv.Program, log *testenv.Buffer, what string) {
	t.Helper()
	testenv.Until(t, "it has "+what, func(context.Context) error {
		if strings.Contains(log.String(), what+"\n") {
			return nil
		}
		select {
		case <-p.Done():
			if !strings.Contains(log.String(), what+"\n") {
				t.Fatalf("the sender has ended: %s", log)
			}
			return nil
		default:
			return errors.New("it says " + log.String())
		}
	})
}

// Clients of InfluxDB, versions 1 and 2, in Python and Node: what they ask before they write is answered as they need it, and each point
// that they were asked to write counts once, though they write it in two batches, the receiver is killed (-9) and they are too.
func TestInfluxClients(t *testing.T) {
	testenv.NeedReal(t)
	python, node := testenv.Influx()
	for name, sender := range map[string][]string{
		"python v1": {python, "testdata/influx_sender.py", "v1"}, "python v2": {python, "testdata/influx_sender.py", "v2"},
		"node v1": {"node", "testdata/influx_sender.mjs", "v1"}, "node v2": {"node", "testdata/influx_sender.mjs", "v2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("MODULES", node)
			dir, journal := t.TempDir(), filepath.Join(t.TempDir(), "journal")
			b := startBoard(t, dir)
			begin := func() (*testenv.Program, *testenv.Buffer) {
				log := new(testenv.Buffer)
				return testenv.Start(t, log, sender[0], append(sender[1:len(sender):len(sender)], b.url, journal, "100")...), log
			}
			p, log := begin()
			writes(t, p, log, "written 30")
			b.program.Kill()
			again := startBoard(t, dir, "--addr", strings.TrimPrefix(b.url, "http://"))
			writes(t, p, log, "written 60")
			p.Kill()
			p, log = begin()
			writes(t, p, log, "done")
			want := pointsShown(t, journal, "influx."+sender[2])
			again.show(want)
			again.untilShown(want)
		})
	}
}
