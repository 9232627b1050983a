package transforms

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pulseboard/aggregate"
	"pulseboard/wire"
)

// Of thousands of groups, in any order, those leave that stand first when all of them are sorted.
func TestTopOfManyGroups(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 9))
	for n := range 40 {
		q := &query{extract: func(a *aggregate.Acc) (float64, bool) { return a.Sum, a.Count > 0 }}
		groups := make([]groupValue, n*n*3)
		for i := range groups {
			v := groupValue{group: fmt.Sprint(r.IntN(1e9), i), x: float64(r.IntN(1 + n*n/2)), count: 1, ok: true}
			switch r.IntN(20) {
			case 0:
				v.x, v.ok, v.count = 0, false, 0
			case 1:
				v.x = math.NaN()
			}
			groups[i] = v
		}
		var w windowValues
		for _, v := range groups {
			w.add(q, v.group, &aggregate.Acc{Count: v.count, Sum: v.x})
		}
		w.finish()
		slices.SortFunc(groups, func(a, b groupValue) int { return a.rank(&b) })
		want := groups[:min(len(groups), wire.MaxSeries)]
		slices.SortFunc(want, func(a, b groupValue) int {
			if a.group < b.group {
				return -1
			}
			return 1
		})
		if fmt.Sprint(w.values) != fmt.Sprint(want) || w.truncated != len(groups)-len(want) {
			t.Fatalf("of %d groups %d leave, %d do not; or others than should", len(groups), len(w.values), w.truncated)
		}
	}
}
