package catalog

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pulseboard/aggregate"
)

// Who disagrees is shown beside the other; who has changed a text is not.
func TestSaid(t *testing.T) {
	s := observe(10_000, 0)
	seconds := func(slice int64, abouts ...string) string {
		t.Helper()
		table := aggregate.Table{}
		table.Add(slice, key("m", "a=1"), 1, slice*1000)
		s.Merge(table)
		for _, a := range abouts {
			unit, help, _ := strings.Cut(a, ":")
			s.Say("m", unit, help, slice)
		}
		e := survey(s, slice+1)
		if len(e) != 1 {
			t.Fatalf("told %+v", e)
		}
		return fmt.Sprintf("%v%v", e[0].Units, e[0].Help)
	}
	s.Say("m", "s", "", 1) // Nobody knows it.
	for _, c := range []struct {
		at     int64
		abouts []string
		want   string
	}{
		{1, nil, "[][]"},
		{2, []string{"s:help"}, "[s][help]"},
		{3, []string{"ms:"}, "[ms s][help]"},
		{600, []string{"ms:"}, "[ms s][help]"},
		{603, []string{"ms:"}, "[ms][help]"}, // In ten minutes nobody else has said s.
		{5000, nil, "[ms][help]"},
		{5001, []string{"a:1", "b:2", "c:3", "d:4", "e:5"}, "[b c d e][2 3 4 5]"},
	} {
		if got := seconds(c.at, c.abouts...); got != c.want {
			t.Errorf("at %d after %q: %s, want %s", c.at, c.abouts, got, c.want)
		}
	}
	// From what is kept it is the same.
	text, _ := s.AppendHistory(nil, -1, 5001)
	before := fmt.Sprint(survey(s, 5002))
	s = observe(10_000, 0)
	if err := s.RestoreHistory(text, 5001); err != nil {
		t.Fatal(err)
	}
	if e := survey(s, 5002); len(e) != 1 || !slices.Equal(e[0].Units, []string{"b", "c", "d", "e"}) || !slices.Equal(e[0].Help, []string{"2", "3", "4", "5"}) {
		t.Errorf("restored %+v of %s", e, before)
	}
}

// What is said takes memory that the store counts, and gives back.
func TestSaidIsCounted(t *testing.T) {
	s := observe(10, 0)
	table := aggregate.Table{}
	table.Add(0, key("m", "a=1"), 1, 0)
	s.Merge(table)
	plain := s.Bytes()
	for i := range 100 {
		s.Say("m", fmt.Sprint("u", i), strings.Repeat("h", 200)+fmt.Sprint(i), int64(i))
	}
	if grown := s.Bytes() - plain; grown < MaxSaid*200 || grown > MaxSaid*500 {
		t.Errorf("it has grown by %d bytes", grown)
	}
	s.Pass(100)
	if s.Bytes() != 0 {
		t.Errorf("%d bytes are left", s.Bytes())
	}
}
