package clock

import (
	"testing"
	"time"
)

// moment is a time whose monotonic clock has passed more or less than its wall clock: package time
// makes none, so both parts come from sums.
type moments struct{ mono, wall time.Duration }

func TestSteps(t *testing.T) {
	for name, c := range map[string]struct {
		looks []moments // What passes between two looks.
		want  []time.Duration
	}{
		"quiet":            {[]moments{{time.Second, time.Second}, {time.Second, time.Second}}, nil},
		"busy":             {[]moments{{time.Minute, time.Minute}}, nil},
		"a night":          {[]moments{{time.Second, 8 * time.Hour}}, []time.Duration{8*time.Hour - time.Second - time.Millisecond}},
		"back":             {[]moments{{time.Second, -2 * time.Hour}}, []time.Duration{-2*time.Hour - time.Second + time.Millisecond}},
		"little by NTP":    {[]moments{{time.Second, 1500 * time.Millisecond}, {time.Second, 500 * time.Millisecond}}, nil},
		"in several":       {[]moments{{time.Second, 1500 * time.Millisecond}, {time.Second, 1500 * time.Millisecond}}, []time.Duration{time.Second - 2*time.Millisecond}},
		"a slow drift":     {[]moments{{time.Hour, time.Hour + 3*time.Second}, {time.Hour, time.Hour + 3*time.Second}, {time.Hour, time.Hour + 3*time.Second}}, nil},
		"forth and back":   {[]moments{{time.Second, 11 * time.Second}, {time.Second, -9 * time.Second}}, []time.Duration{10*time.Second - time.Millisecond, -10*time.Second + time.Millisecond}},
		"back, then right": {[]moments{{0, -time.Hour}, {0, time.Hour}}, []time.Duration{-time.Hour, time.Hour}},
	} {
		w := new(Steps)
		var got []time.Duration
		for _, m := range c.looks {
			if by := w.step(m.mono, m.wall); by != 0 {
				got = append(got, by)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
	}
}

// A look at the real clock sees no step.
func TestNoStep(t *testing.T) {
	w := NewSteps(time.Now())
	for range 100 {
		if by := w.Look(time.Now()); by != 0 {
			t.Errorf("a step of %v", by)
		}
	}
}

func TestLonger(t *testing.T) {
	now := time.Now()
	if got := Longer(now, now.Add(time.Second)); got != time.Second {
		t.Errorf("a second is %v", got)
	}
	// Without its monotonic part a time says only what the wall clock does.
	if got := Longer(now.Round(0), now.Add(time.Second)); got != time.Second {
		t.Errorf("a second is %v", got)
	}
}
