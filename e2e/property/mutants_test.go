//go:build mutants

package property_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
)

// mutant is a mistake in one place of the source.
type mutant struct {
	name, file, is, becomes string
}

// Two mistakes are not here, because other tests see them: timers that are a
// millisecond early overtake slices only under load
// (pipeline.TestATimerOneMillisecondEarlyIsSeen), and ids that are not read back
// matter on Prism in windows only that are incomplete anyway
// (sources.TestDuplicatesAreKnownAfterARestart).
var mutants = []mutant{
	{
		"a slice is dropped", "transforms/keygroup.go",
		"\t\t\tk.take(t)\n\t\t\tk.observer.Arrive(-1)\n", "\t\t\tif k.end/k.options.SliceMs%7 != 0 {\n\t\t\t\tk.take(t)\n\t\t\t}\n\t\t\tk.observer.Arrive(-1)\n",
	},
	{
		"a table is merged twice", "transforms/keygroup.go",
		"\t\t\tk.take(t)\n\t\t\tk.observer.Arrive(-1)\n", "\t\t\tk.take(t)\n\t\t\tif k.end/k.options.SliceMs%7 == 0 {\n\t\t\t\tk.store.Merge(t)\n\t\t\t}\n\t\t\tk.observer.Arrive(-1)\n",
	},
	{
		"windows begin a slice late", "transforms/queries.go",
		"From: aggregate.Div(end-q.windowMs, q.sliceMs),", "From: aggregate.Div(end-q.windowMs, q.sliceMs) + 1,",
	},
	{
		"duplicates count", "sources/seenids.go",
		"s.next++\n\treturn known", "s.next++\n\treturn known && false",
	},
	{
		"covered_since is ignored", "transforms/keygroup.go",
		"return (k.since == 0 || start >= k.since) && ", "return ",
	},
	{
		"too late events count", "sources/record.go",
		"l.Check(eventTime, r.Newest, r.Latest)", "l.Check(eventTime, r.Newest-100_000, r.Latest)",
	},
	{
		"events of the future count", "sources/record.go",
		"l.Check(eventTime, r.Newest, r.Latest)", "l.Check(eventTime, r.Newest, r.Latest+100_000)",
	},
	{
		"late events are lost", "sources/record.go",
		"l.Check(eventTime, r.Newest, r.Latest)", "l.Check(eventTime, r.Newest+l.Late.Milliseconds()*3/4, r.Latest)",
	},
	{
		"a clock that is ahead counts", "sources/logclock.go",
		"limit += o.MaxFutureMs", "limit += math.MaxInt64 / 2",
	},
	{
		"how late an event is counts from its producer's clock", "sources/record.go",
		"l.Check(eventTime, r.Newest, r.Latest)", "l.Check(eventTime, r.Time, r.Latest)",
	},
	{
		"what is aborted counts", "sources/transactions.go",
		"case isCommit(marker):", "case isCommit(marker), isAbort(marker):",
	},
	{
		"a transaction counts before its commit", "sources/scanner.go",
		"case rec.Attrs.IsTransactional():", "case false && rec.Attrs.IsTransactional():",
	},
	{
		"an unfinished percentile counts as whole", "transforms/keygroup.go",
		"Complete: k.covers(q, end) && !w.lacking,", "Complete: k.covers(q, end),",
	},
	{
		"a series is taken for another", "aggregate/table.go",
		"i < len(r.names) && r.names[i] == n {", "i < len(r.names) {",
	},
	{
		"a reset is lost", "aggregate/counter.go",
		"// It has started anew.\n\t\t\tg.Sum, since, _ = n.above(nil)", "// It has started anew.\n\t\t\tg.Sum = 0",
	},
	{
		"a first sample counts", "aggregate/counter.go",
		"g.Unknown, g.First = 1, n.Value", "g.Sum = n.Value",
	},
	{
		"a repeat counts", "aggregate/counter.go",
		"at, found := known.find(x)\n", "at, found := known.find(x)\n\t\tfound = false\n",
	},
	{
		"a point keeps its first value", "aggregate/counter.go",
		"changed = changed || x.compareValue(before) != 0 || x.Needs != before.Needs", "changed = false",
	},
	{
		"points of one millisecond are one", "aggregate/counter.go",
		"cmp.Compare(s.Nanos, o.Nanos), ", "",
	},
	{
		"the greatest since the start is lost", "aggregate/counter.go",
		"return &c[i]", "return &c[max(i, len(c)-1)]",
	},
	{
		"the last of a late event", "aggregate/marked.go",
		"l.Count == 0 || o.Time > l.Time", "l.Count == 0 || o.Time != l.Time",
	},
	{
		"what follows a late sample is not corrected", "aggregate/joining.go",
		"grown += f.group.add(j.after[i].slice, &a)", "a.More.Growth = Growth{}\n\t\t\t\tgrown += f.group.add(j.after[i].slice, &a)",
	},
	{
		"a cumulative histogram counts whole", "aggregate/counter.go",
		"h, ok := s.Histogram.Sub(p.Histogram)", "h, ok := *s.Histogram, true",
	},
	{
		"a late histogram corrects nothing", "aggregate/joining.go",
		"\t\t\tif g.histograms {", "\t\t\tif g.histograms && g.slice == slice {",
	},
	{
		"first is ignored", "transforms/queries.go",
		"named.Over(q.WindowSeconds, q.First == metric.FirstCounts)", "named.Over(q.WindowSeconds, false)",
	},
	{
		"samples of both agents count", "sources/replicas.go",
		"case r.name > s.holder.name && s.counted > before:", "case false:",
	},
	{
		"increase does not reach back", "metric/query.go",
		"\t\treturn q.JoinReach()", "\t\t_ = q.JoinReach()",
	},
	{
		"a regular expression matches a part of the value", "metric/filter.go",
		"regexp.Compile(\"^(?s:\" + text + \")$\")", "regexp.Compile(\"(?s:\" + text + \")\")",
	},
	{
		"rate_avg is of all series together", "aggregate/aggregation.go",
		"v, _ := increase(a)\n\treturn v / float64(max(a.standing().Series, 1))", "v, _ := increase(a)\n\treturn v",
	},
	{
		"last_count counts events", "aggregate/aggregation.go",
		"return float64(a.standing().Series), a.standing().Series > 0", "return float64(a.Count), a.standing().Series > 0",
	},
}

// The check of the property test sees each of these mistakes.
func TestMutants(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		t.Run(strings.ReplaceAll(m.name, " ", "-"), func(t *testing.T) {
			path := filepath.Join(root, m.file)
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(source), m.is); n != 1 {
				t.Fatalf("%s has %q %d times: the mutant must be written anew", m.file, m.is, n)
			}
			copied := filepath.Join(t.TempDir(), filepath.Base(m.file))
			if err := os.WriteFile(copied, []byte(strings.Replace(string(source), m.is, m.becomes, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: copied}})
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "overlay.json")
			if err := os.WriteFile(file, overlay, 0o600); err != nil {
				t.Fatal(err)
			}
			_, wrong := play(t, testenv.Build(t, "pipeline", "-overlay", file), plan{seed: 1, traffic: 14 * time.Second, kills: []time.Duration{time.Second}})
			if wrong == nil {
				t.Fatal("everything is right, although the pipeline is wrong")
			}
			t.Logf("seen: %.400v", wrong)
		})
	}
}
