package dashcode

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pulseboard/configsvc"
)

// nothing are parts of files that hold no dashboard, each before or after a ---.
func nothing() []string {
	return []string{
		"", "\n", "\n\n", "# switched off\n", "  # indented\n\n# more\n", "null\n", "~\n", "Null # later\n", "!!null\n", "#---\n", "# title: Old\n# widgets: []\n",
	}
}

// good are forms of one dashboard with a title.
func good(title string) []string {
	return []string{
		"title: " + title + "\n", "title: " + title, "# before\ntitle: " + title + " # beside\n# after\n", "title: '" + title + "'\nwidgets: []\n\n",
		"{title: " + title + ", tags: [a, b]}\n", "{\"title\": \"" + title + "\"}\n", "title: >-\n  " + title + "\n", "title: |-\n  " + title + "\n\n",
		"tags: &t [a]\ntitle: &x " + title + "\nwidgets:\n- &w {metric_name: m, aggregation: avg, window_seconds: 1}\n- {<<: *w, window_seconds: 2}\n",
		"? title\n: " + title + "\n", "\"title\": \"" + title + "\"\ntags:\n  - \"---\"\n  # - x\n",
	}
}

// A file is read whole or not at all, whatever stands between its dashboards.
func TestNoDocumentIsPassedOver(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	whole := 0
	for range 3000 {
		var b strings.Builder
		var want []string
		b.WriteString(pick(r, "", "", "\ufeff", "---\n", "%YAML 1.2\n---\n", "# first\n---\n", "--- # x\n", "---\n---\n"))
		for n := range 1 + r.IntN(5) {
			if n > 0 {
				b.WriteString(pick(r, "---\n", "---\n", "--- # x\n", "---   \n", "---\t\n", "...\n---\n", "...\n", "... # end\n---\n", "...\n%YAML 1.2\n---\n", "---\n...\n---\n", "...\n...\n"))
			}
			if r.IntN(2) == 0 {
				b.WriteString(pick(r, nothing()...))
				continue
			}
			title := fmt.Sprintf("T%d", len(want)+1)
			want = append(want, title)
			text := pick(r, good(title)...)
			if !strings.HasSuffix(text, "\n") {
				text += "\n"
			}
			b.WriteString(text)
		}
		b.WriteString(pick(r, "", "", "---\n", "...\n", "---\n# end", "\n\n", "...\n# end\n"))
		text := b.String()
		switch r.IntN(4) {
		case 0:
			text = strings.ReplaceAll(text, "\n", "\r\n")
		case 1:
			text = strings.TrimSuffix(text, "\n")
		}
		docs, faults := read("a.yaml", []byte(text))
		s := Set{Faults: faults}
		s.check(docs, configsvc.Rules{SliceMs: 1})
		var got []string
		for _, i := range s.Items {
			got = append(got, i.Dashboard.Title)
		}
		if len(s.Faults) == 0 {
			whole++
		}
		if len(s.Faults) == 0 && !slices.Equal(got, want) || len(want) == 0 && len(s.Faults) == 0 {
			t.Fatalf("seed %d: read %q without a fault, want %q, of %q", seed, got, want, text)
		}
	}
	if whole < 1500 {
		t.Errorf("seed %d: %d of 3000 files were read whole: too few to say much", seed, whole)
	}
}

// What is good YAML is read, not only refused.
func TestEmptyDocuments(t *testing.T) {
	const a, b = "title: A\n", "title: B\n"
	for _, text := range []string{
		a + "---\n# off\n---\n" + b, "---\n---\n" + a + "---\n" + b, "---\n" + a + "---\n---\n---\n" + b, "# off\n---\n# off\n---\n" + a + "---\n" + b,
		a + "---\n" + b + "---\n# off\n---\n", a + "---\nnull\n---\n" + b, a + "---\n~\n---\n" + b, a + "---\n!!null\n---\n" + b, a + "...\n" + b, a + "...\n---\n...\n---\n" + b,
		a + "--- # x\n# y\n---\n" + b, "\ufeff---\r\n" + "title: A\r\n---\r\n# off\r\n---\r\ntitle: B\r\n", a + "---\n\n---\n\n---\n" + b,
		"%YAML 1.2\n---\n" + a + "...\n%YAML 1.2\n---\n# off\n---\n" + b, "title: |-\n  A\n---\n# off\n---\n" + b, a + "--- {title: B}\n---\n",
	} {
		s := load(t, folder(t, "a.yaml", text))
		if len(s.Items) != 2 || len(s.Faults) > 0 || s.Items[0].Dashboard.Title != "A" || s.Items[1].Dashboard.Title != "B" {
			t.Errorf("%q: %d dashboards, faults %v", text, len(s.Items), s.Faults)
		}
	}
}

// An alias means the last anchor of its name before it, also where the node
// that it stands in is read again for another alias.
func TestAnchorsAgain(t *testing.T) {
	for text, want := range map[string]string{
		"tags: [*x, &x a]\n":                "a.yaml:1:8: /tags/0: there is no anchor &x before this place",
		"tags: &x [a]\ntitle: &x {t: *x}\n": "a.yaml:2:15: /title/t: there is no anchor &x before this place",
		"tags: [!!str &x 5]\n":              "a.yaml:1:8: /tags/0: write the anchor before the tag: &x !!str",
		"tags: [&x !!str 5]\ntitle: *x\n":   "[5]",
		"title: a\n---\ntags: [*x]\n":       "a.yaml:3:8: /tags/0: there is no anchor &x before this place",
		"tags: &x\ntitle: b\n":              "[]",
	} {
		s := load(t, folder(t, "a.yaml", text))
		var got string
		if len(s.Faults) > 0 {
			got = s.Faults[len(s.Faults)-1].String()
			got = got[strings.LastIndex(got, "a.yaml"):]
		} else {
			got = fmt.Sprint(s.Items[0].Dashboard.Tags)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	docs, _ := readYAML("a.yaml", []byte("a: &x 1\nb: &y [*x]\nc: &x 2\nd: *y\ne: &z {k: &w 1}\nf: &w 2\ng: *z\nh: *w\ni: &o {k: &o 3}\nj: *o\n"))
	if got := fmt.Sprint(docs[0].value); got != "map[a:1 b:[1] c:2 d:[1] e:map[k:1] f:2 g:map[k:1] h:2 i:map[k:3] j:3]" {
		t.Error(got)
	}
}
