package job_test

import (
	"errors"
	"slices"
	"testing"

	"pulseboard/job"
)

// part writes down when it is closed.
type part struct {
	name   string
	closed *[]string
	fails  error
}

func (p *part) Close() error {
	*p.closed = append(*p.closed, p.name)
	return p.fails
}

type other struct{ *part }

// Parts are found by their types, each run its own, also once the run is closed; they are closed in their order.
func TestPartsOfARun(t *testing.T) {
	var closed []string
	fault := errors.New("fault")
	run, second := t.Name(), t.Name()+" 2"
	a, b := &part{"a", &closed, fault}, other{&part{"b", &closed, nil}}
	j := job.Open(run, a, "no closer", b)
	k := job.Open(second, &part{"c", &closed, nil})
	if got, err := job.Of[*part](run); got != a || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := job.Of[other](run); got != b || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := job.Of[int](run); err == nil {
		t.Error("a part that nobody gave is found")
	}
	var names []string
	for p := range job.All[*part]() {
		names = append(names, p.name)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"a", "c"}) {
		t.Errorf("all are %q", names)
	}
	if err := j.Close(); !errors.Is(err, fault) || !slices.Equal(closed, []string{"a", "b"}) {
		t.Errorf("%v after closing %q", err, closed)
	}
	if got, err := job.Of[*part](run); got != a || err != nil {
		t.Errorf("of a run that is closed: %v, %v", got, err)
	}
	for p := range job.All[*part]() {
		if p == a {
			t.Error("a closed part is among all")
		}
	}
	if got, err := job.Of[*part](second); err != nil || got.name != "c" {
		t.Errorf("of the other run: %v, %v", got, err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}
