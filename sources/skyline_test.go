package sources

import "testing"

// A clock that was ahead for long: it shows by a jump unlike the pauses between records.
func TestAClockThatIsAheadForLong(t *testing.T) {
	for name, c := range map[string]struct {
		pause, shift, long int64 // Seconds: between records; by how much the clock is ahead, and for how long.
		found              bool
	}{
		"for minutes":                {1, 10, 300, true},
		"for minutes, a few records": {10, 30, 300, true},
		"a pause like others":        {10, 5, 300, false},
		"for hours":                  {1, 10, 7200, false},
		"less than the pauses":       {4, 2, 40, false},
	} {
		var sky skyline
		at, offset := int64(1_795_950_000_000), int64(0)
		for ; offset*c.pause < 20; offset++ {
			sky.add(offset, at+offset*c.pause*1000, 1)
		}
		begin := offset
		for ; (offset-begin)*c.pause < c.long; offset++ {
			sky.add(offset, at+(offset*c.pause+c.shift)*1000, 1)
		}
		end := offset
		for ; (offset-end)*c.pause < 20; offset++ {
			sky.add(offset, at+offset*c.pause*1000, 1)
		}
		got, ok := sky.forthAndBack(begin, (c.pause+c.shift)*1000, 60_000)
		if want := (stretch{end, at + end*c.pause*1000}); ok != c.found || ok && got != want {
			t.Errorf("%s: %+v, %v; want %+v, %v", name, got, ok, want, c.found)
		}
	}
}

func TestSkylineVotes(t *testing.T) {
	var sky skyline
	for offset, second := range []int64{0, 100, 100, 1, 2, 3, 200} {
		sky.add(int64(offset), second*1000, 1)
	}
	for _, c := range []struct {
		offset, limit int64
		outvoted      bool
	}{{0, 50_000, true}, {1, 50_000, true}, {3, 50_000, true}, {6, 50_000, false}, {1, 1000, false}, {1, 2000, false}, {2, 3000, true}} {
		if got := sky.isOutvoted(c.offset, c.limit); got != c.outvoted {
			t.Errorf("from offset %d by %d ms: outvoted %v, want %v", c.offset, c.limit, got, c.outvoted)
		}
	}
	for _, c := range []struct{ offset, from, limit, want int64 }{{1, 0, 50_000, 1000}, {3, 0, 50_000, 2000}, {1, 2000, 50_000, 2000}, {5, 0, 50_000, 0}, {5, 0, 1 << 60, 200_000}} {
		if got := sky.goesOn(c.offset, c.from, c.limit); got != c.want {
			t.Errorf("behind offset %d in [%d, %d): %d, want %d", c.offset, c.from, c.limit, got, c.want)
		}
	}
	// Each record has a vote.
	sky = skyline{}
	sky.add(0, 100_000, 2)
	sky.add(2, 1000, 3)
	if !sky.isOutvoted(0, 50_000) {
		t.Error("three records do not outvote two")
	}
	// Records of one second are one run, unless they are too far apart.
	sky = skyline{}
	for offset, at := range []int64{1000, 1100, 1900, 2000, 2900} {
		sky.add(int64(offset), at, 1)
	}
	if len(sky.runs) != 3 || sky.runs[0].records != 3 || sky.runs[1].records != 1 {
		t.Errorf("the runs are %+v", sky.runs)
	}
}
