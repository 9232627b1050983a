package metric_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"pulseboard/metric"
)

// Units have one name, whoever says them.
func TestUnits(t *testing.T) {
	for said, want := range map[string]string{
		"": "", "s": "s", "seconds": "s", "ms": "ms", "us": "µs", "By": "B", "bytes": "B", "KiBy": "KiB", "%": "%", "1": "1", "ratio": "1", "Cel": "°C", "celsius": "°C",
		"{request}": "req", "{packet}": "packet", "{}": "", "By/s": "B/s", "{request}/s": "req/s", "1/s": "1/s", "widgets": "widgets", "a\nb": "a b", "\xff": "",
		"{": "{", "req": "req", "°C": "°C", strings.Repeat("ü", 40): strings.Repeat("ü", 32),
	} {
		if got := metric.MakeAbout(said, "").Unit; got != want {
			t.Errorf("%q is %q, want %q", said, got, want)
		}
	}
}

// An About is bounded, readable, and stays as it is when it is made again.
func TestAboutIsBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	letters := []string{"a", "ü", "€", "{", "}", "/", "\n", "\x00", "\xff", " ", "s", "By", "…"}
	for range 20_000 {
		text := func() string {
			var b strings.Builder
			for range r.IntN(1 + r.IntN(400)) {
				b.WriteString(letters[r.IntN(len(letters))])
			}
			return b.String()
		}
		unit, help := text(), text()
		a := metric.MakeAbout(unit, help)
		if utf8.RuneCountInString(a.Unit) > metric.MaxUnit || len(a.Help) > metric.MaxHelp || !utf8.ValidString(a.Unit+a.Help) || strings.ContainsAny(a.Unit+a.Help, "\n\x00") {
			t.Fatalf("%q, %q: %+v", unit, help, a)
		}
		if again := metric.MakeAbout([]byte(a.Unit), []byte(a.Help)); again != a {
			t.Fatalf("%q, %q: %+v, and again %+v", unit, help, a, again)
		}
	}
	if a := metric.MakeAbout("", strings.Repeat("é", 200)); a.Help != strings.Repeat("é", 126)+"…" {
		t.Errorf("cut to %q", a.Help)
	}
}

// The unit of a query's values, which the page proposes alike: its test reads the same file.
func TestUnitOf(t *testing.T) {
	text, err := os.ReadFile("testdata/units.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		metric.Query

		Unit, Want string
	}
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) < 10 {
		t.Fatal(err, len(cases))
	}
	for _, c := range cases {
		if got := c.UnitOf(c.Unit); got != c.Want {
			t.Errorf("%s of %s in %q is in %q, want %q", c.Aggregation, c.Metric, c.Unit, got, c.Want)
		}
	}
}
