package statsd

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pulseboard/metric"
	"pulseboard/wire"
)

var update = flag.Bool("update", false, "write testdata anew")

const arrival = 1_763_892_003_456 // 3.456 s after a multiple of ten seconds.

func testDecoder(signs Signs) *decoder {
	d := newDecoder(Config{Limits: metric.DefaultLimits(), Options: Options{Signs: signs}})
	d.into(new(wire.Batch))
	return d
}

// tell is an event in one line, its time counted from arrival.
func tell(e *metric.Event) string {
	text := fmt.Sprintf("%s%s %s %v", e.Metric, e.Tags, e.Kind, e.Value)
	if e.Time != arrival {
		text += fmt.Sprintf(" at %+d ms", e.Time-arrival)
	}
	return text
}

// What becomes of each line of testdata/lines.txt, good ones and broken ones. Each begins with nothing held.
func TestLines(t *testing.T) {
	for _, signs := range []Signs{SignsChange, SignsValue} {
		name := "testdata/lines." + string(signs)
		text, err := os.ReadFile(name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		for written := range strings.Lines(string(text)) {
			written = strings.TrimSuffix(written, "\n")
			if written == "" || strings.HasPrefix(written, "# ") {
				fmt.Fprintln(&got, written)
				continue
			}
			line, err := strconv.Unquote(`"` + strings.ReplaceAll(written, `"`, `\"`) + `"`)
			if err != nil {
				t.Fatalf("%s: %v", written, err)
			}
			d := testDecoder(signs)
			fmt.Fprintln(&got, written)
			for _, one := range strings.Split(line, "\n") {
				if f := d.line([]byte(one), arrival); f.Code != "" {
					detail := ": " + f.Detail()
					if f.Code == metric.CodeNameInvalid || f.Code == metric.CodeTagsInvalid {
						detail = "" // Package metric's text.
					}
					fmt.Fprintf(&got, "    %s%s\n", f.Code, detail)
				}
			}
			d.endAllSets(arrival)
			same := 0
			for i := range d.batch.Events {
				if same++; i+1 == len(d.batch.Events) || tell(&d.batch.Events[i]) != tell(&d.batch.Events[i+1]) {
					fmt.Fprintf(&got, "    %s", tell(&d.batch.Events[i]))
					if same > 1 {
						fmt.Fprintf(&got, ", %d times", same)
					}
					same = 0
					fmt.Fprintln(&got)
				}
			}
		}
		if *update {
			if err := os.WriteFile(name+".golden", got.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(name + ".golden")
		if err != nil {
			t.Fatalf("%v; write it with go test ./ingest/statsd -run TestLines -update, and read it", err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: it is\n%s\nand should be\n%s", name, got.Bytes(), want)
		}
	}
}

// lines takes lines at a time of arrival, and tells of the ones that are refused.
func (d *decoder) lines(t *testing.T, now int64, lines ...string) {
	t.Helper()
	d.endSets(now)
	for _, line := range lines {
		if f := d.line([]byte(line), now); f.Code != "" {
			t.Errorf("%s: %s: %s", line, f.Code, f.Detail())
		}
	}
}

// What a gauge stands at is held from one batch to the next, whatever the order and the form of its tags; the event of a
// millisecond is the last one of it, and no two of a gauge have the same time.
func TestGauges(t *testing.T) {
	d := testDecoder(SignsChange)
	first := d.batch
	d.lines(t, arrival, "q:10|g|#a:1,b:2", "q:+5|g|#b:2,a:1", "q;b=2;a=1:-1|g", "q:7|g")
	second := new(wire.Batch)
	d.into(second)
	d.lines(t, arrival, "q,a=1,b=2:+2|g")
	d.lines(t, arrival+5, "q:-20|g|#a:1,b:2", "q:+1|g|#a:1,b:2")
	d.lines(t, arrival-2, "q:+1|g|#a:1,b:2")
	want := []string{`q{"a":"1","b":"2"} gauge 14`, `q{} gauge 7`}
	if got := all(first); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	want = []string{`q{"a":"1","b":"2"} gauge 16 at +1 ms`, `q{"a":"1","b":"2"} gauge -2 at +5 ms`}
	if got := all(second); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	d.lines(t, arrival-100_000, "q:+1|g|#a:1,b:2") // The clock was set back.
	if got := all(second)[2]; got != `q{"a":"1","b":"2"} gauge -1 at -100000 ms` {
		t.Error(got)
	}
}

func all(b *wire.Batch) (texts []string) {
	for i := range b.Events {
		texts = append(texts, tell(&b.Events[i]))
	}
	return texts
}

// A set tells at the end of its ten seconds how many values it had, once.
func TestSets(t *testing.T) {
	d := testDecoder(SignsChange)
	d.lines(t, arrival, "u:ann|s", "u:bob|s", "u:ann|s", "u:ann|s|#k:v", "u:2001:db8::1|s", "u:2001:db8::2|s")
	d.lines(t, arrival+6543, "u:eve|s")
	d.lines(t, arrival+6544, "u:ann|s") // The next ten seconds.
	d.lines(t, arrival+16543)
	got := all(d.batch)
	slices.Sort(got)
	if want := []string{`u{"k":"v"} gauge 1 at +6543 ms`, `u{} gauge 5 at +6543 ms`}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	d.lines(t, arrival+16544)
	d.lines(t, arrival+26544)
	if got := all(d.batch)[2:]; !slices.Equal(got, []string{`u{} gauge 1 at +16543 ms`}) {
		t.Errorf("%q", got)
	}
	if d.held.room != heldBytes {
		t.Errorf("%d bytes are held by nothing", heldBytes-d.held.room)
	}
}

// What is held is bounded: beyond it changes are refused, not taken for changes of zero; values of gauges are taken all
// the same. Gauges that nobody sends make room for others, sets when their time is over.
func TestHeldIsBounded(t *testing.T) {
	d := testDecoder(SignsChange)
	d.held.room = 3 * (gaugeBytes + 2 + 2)
	now := int64(arrival)
	d.lines(t, now, "g0:+1|g", "g1:+1|g", "g2:+1|g", "g3:5|g", "g3:6|g")
	refused := func(line string) {
		t.Helper()
		if f := d.line([]byte(line), now); f.Code != CodeHeldFull {
			t.Errorf("%s: %+v", line, f)
		}
	}
	refused("g3:+1|g")
	refused("s:1|s")
	d.lines(t, now, "g0:+1|g")
	now += gaugeIdle.Milliseconds() - 1
	d.lines(t, now, "g0:+1|g")
	refused("g3:+1|g")
	now += sweepPause.Milliseconds()
	d.lines(t, now, "g3:+1|g", "g4:+1|g", "g0:+1|g", "g1:5|g")
	refused("g1:+1|g") // It was forgotten.
	want := []string{"g0{} gauge 4", "g1{} gauge 5", "g3{} gauge 1", "g4{} gauge 1"}
	var got []string
	for _, e := range d.batch.Events {
		if e.Time == now {
			e.Time = arrival
			got = append(got, tell(&e))
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}

	d = testDecoder(SignsChange)
	d.held.room = setBytes + 2 + 2*valueBytes
	d.lines(t, arrival, "s:1|s", "s:2|s", "s:1|s")
	now = arrival
	refused("s:3|s")
	refused("r:1|s")
	d.lines(t, arrival+10_000, "r:1|s", "r:3|s")
	if got := all(d.batch); !slices.Equal(got, []string{"s{} gauge 2 at +6543 ms"}) {
		t.Errorf("%q", got)
	}
}

// Tags beyond the limits are refused, or cut to fit, and the events with such counted.
func TestLongTags(t *testing.T) {
	line := []byte("a:1:2|c|#k:" + strings.Repeat("x", metric.MaxTagValue+1))
	d := testDecoder(SignsChange)
	if f := d.line(line, arrival); f.Code != metric.CodeTagsInvalid {
		t.Errorf("%+v", f)
	}
	d.cut, d.series = true, wire.Memory[series]{}
	d.lines(t, arrival, string(line), "a:1|c|#k:v")
	if n := len(d.batch.Events); n != 3 || d.batch.Cut != 2 || len(d.batch.Events[0].Tags.Get("k")) > metric.MaxTagValue {
		t.Errorf("%d events, %d of them cut", n, d.batch.Cut)
	}
}

// Numbers are what strconv says, or refused.
func TestNumbers(t *testing.T) {
	for _, text := range []string{
		"0", "-0", "+1", "1.5", "0.1", "-0.3", "123456789012345", "999999999999999", "1234567890123456", "9007199254740993", "0.000000000000001", "1e5", "1E-7", "1e400", "-1e999", "5.", ".5",
		"179769313486231570000000000000000000000", "3.141592653589793238", "", "+", "-", ".", "-.", "1.2.3", "1-", "--1", "e5", "1e", "NaN", "inf", "0x10", "1_0", " 1", "1 ", "٣",
	} {
		want, err := strconv.ParseFloat(text, 64)
		wanted := (err == nil || math.IsInf(want, 0)) && !strings.ContainsAny(text, "xNni_")
		if got, ok := number([]byte(text)); ok != wanted || ok && math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%q: %v %v, want %v %v", text, got, ok, want, wanted)
		}
	}
}

// Whatever comes: a line is taken whole or not at all, what is accepted is valid, and a series that is known is what it was
// the first time.
func FuzzLines(f *testing.F) {
	for _, signs := range []Signs{SignsChange, SignsValue} {
		text, err := os.ReadFile("testdata/lines." + string(signs) + ".txt")
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			f.Add([]byte(strings.TrimSuffix(line, "\n")), signs == SignsValue)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, value bool) {
		signs := SignsChange
		if value {
			signs = SignsValue
		}
		d := testDecoder(signs)
		var faults [2]Fault
		var events [2]int
		for i := range faults {
			for line := range bytes.SplitSeq(text, []byte{'\n'}) {
				if line = trim(line); len(line) == 0 {
					continue
				}
				before := len(d.batch.Events)
				fault := d.line(line, arrival)
				if fault.Code != "" && (len(d.batch.Events) != before || fault.Detail() == "") {
					t.Fatalf("%q: %+v, and %d events", line, fault, len(d.batch.Events)-before)
				}
				faults[i] = fault
			}
			events[i] = len(d.batch.Events)
			d.into(d.batch)
		}
		if faults[0].Code != faults[1].Code && faults[1].Code != metric.CodeValueNotFinite { // A gauge may reach the end of the numbers.
			t.Fatalf("%q: %+v, then %+v", text, faults[0], faults[1])
		}
		d.endAllSets(arrival)
		for _, e := range d.batch.Events {
			if metric.ValidateName(e.Metric) != nil || metric.CheckTags(e.Tags) != nil || math.IsNaN(e.Value) || math.IsInf(e.Value, 0) ||
				metric.TimeFault(e.Time) != nil || e.Check() != nil || metric.DefaultLimits().Check(e.Time, arrival, arrival) != "" {
				t.Fatalf("%q: accepted %+v", text, e)
			}
		}
	})
}

// BenchmarkLine reads lines of 1,000 series. CPU seconds are seconds here.
func BenchmarkLine(b *testing.B) {
	for name, form := range map[string]string{
		"counter": "api.requests:1|c|#host:web-%02d,route:/orders/%d", "sampled": "api.requests:3|c|@0.1|#host:web-%02d,route:/orders/%d", "gauge": "queue.length:%d|g|#host:web-%02d",
		"timer": "api.latency:%d.25|ms|#host:web-%02d", "packed": "api.latency:1.5:2:3.25:%d|d|#host:web-%02d", "set": "users:%d|s|#host:web-%02d", "bare": "api.host%d.requests%d:1|c",
	} {
		b.Run(name, func(b *testing.B) {
			var lines [][]byte
			for i := range 1000 {
				lines = append(lines, fmt.Appendf(nil, form, i%100, i/100))
			}
			d := testDecoder(SignsChange)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if f := d.line(lines[i%len(lines)], arrival); f.Code != "" {
					b.Fatal(f.Detail())
				}
				if len(d.batch.Events) >= batchEvents {
					d.batch.Events = d.batch.Events[:0]
					d.into(d.batch)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}

// A line of a series that is known costs no allocation.
func TestKnownLinesCostNoAllocation(t *testing.T) {
	d := testDecoder(SignsChange)
	lines := [][]byte{
		[]byte("a.b:1.5:2|c|@0.1|#host:x,k2|c:ci-1"), []byte("a.b:12.75|ms|@0.5"), []byte("g;h=x:+3|g"), []byte("g:7|g|#a:1"), []byte("u:someone|s"), []byte("a.b:1|c|T1763892000"),
	}
	d.batch.Events = make([]metric.Event, 0, 100)
	n := testing.AllocsPerRun(100, func() {
		d.batch.Events = d.batch.Events[:0]
		d.into(d.batch)
		for _, line := range lines {
			if f := d.line(line, arrival); f.Code != "" {
				t.Fatal(f.Detail())
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for %d lines", n, len(lines))
	}
}
