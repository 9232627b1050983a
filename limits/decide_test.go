package limits

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pulseboard/wire"
)

func query(board, token string, n, groups int) Query {
	return Query{
		Key: fmt.Sprintf("%s-%03d", board, n), Metric: board + ".m", Selector: fmt.Sprint(n), SpanSlices: 96, RefreshMs: []int64{1000},
		Owners: []wire.Owner{{Dashboard: board, Token: token}}, Size: Size{Groups: groups, KeyBytes: 20},
	}
}

func keys(d Decision) []string {
	var out []string
	for k := range d.Cut {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func machine() Budgets { return NewBudgets(2<<30, 2<<30, 2, DefaultShare) }

// Two hundred selectors of twenty thousand series each: a few are computed, the others are cut, and nobody else is.
func TestOwnSelectorsAreCut(t *testing.T) {
	var qs []Query
	for i := range 200 {
		qs = append(qs, query("greedy", "", i, 20_000))
	}
	for i := range 50 {
		qs = append(qs, query(fmt.Sprintf("honest%d", i), "", i, 100))
	}
	d := Decide(qs, machine(), nil)
	if n := len(d.Cut); n < 180 || n == 200 {
		t.Errorf("%d are cut", n)
	}
	for k, c := range d.Cut {
		if !strings.HasPrefix(k, "greedy") || c.Name != "greedy" || c.Scope != Dashboard || c.Used <= c.Limit {
			t.Fatalf("%+v", c)
		}
	}
	for range 20 { // Whatever the order.
		rand.Shuffle(len(qs), func(i, j int) { qs[i], qs[j] = qs[j], qs[i] })
		if again := Decide(qs, machine(), nil); !reflect.DeepEqual(again, d) {
			t.Fatalf("another order cuts %v, not %v", keys(again), keys(d))
		}
	}
}

// Many dashboards want more than there is: who uses little has it all.
func TestWhoUsesLittleLosesNothing(t *testing.T) {
	var qs []Query
	for b := range 12 {
		for i := range 20 {
			qs = append(qs, query(fmt.Sprintf("aaa%02d", b), "", i, 4_000))
		}
	}
	qs = append(qs, query("zzz", "", 1, 5_000))
	d := Decide(qs, machine(), nil)
	if _, cut := d.Cut["zzz-001"]; cut || len(d.Cut) == 0 {
		t.Errorf("cut: %v", keys(d))
	}
}

// A token is bounded over all its dashboards, and shares with nobody.
func TestTokensAreBounded(t *testing.T) {
	var qs []Query
	for b := range 30 {
		for i := range 10 {
			qs = append(qs, query(fmt.Sprintf("b%02d", b), "eve", i, 2_000))
		}
	}
	qs = append(qs, query("x", "ann", 1, 30_000))
	d := Decide(qs, machine(), nil)
	if _, cut := d.Cut["x-001"]; cut {
		t.Errorf("ann is cut: %v", keys(d))
	}
	byToken := 0
	for _, c := range d.Cut {
		if c.Scope == Token && c.Name == "eve" {
			byToken++
		}
	}
	if byToken == 0 {
		t.Errorf("nothing is cut by the budget of eve: %v", d.Cut)
	}
}

func TestNarrowOnesOfADashboardComeFirst(t *testing.T) {
	qs := []Query{query("b", "", 1, 150_000), query("b", "", 2, 60_000), query("b", "", 3, 10)}
	if got := keys(Decide(qs, machine(), nil)); !slices.Equal(got, []string{"b-001", "b-002"}) {
		t.Errorf("cut %v", got)
	}
	if got := keys(Decide(qs[2:], machine(), nil)); got != nil {
		t.Errorf("cut %v", got)
	}
}

// Windows and aggregations over the same selector share its trees.
func TestTreesAreShared(t *testing.T) {
	var qs []Query
	for i := range 200 {
		q := query("b", "", i, 2_000)
		q.Selector, q.RefreshMs = "same", []int64{60_000}
		qs = append(qs, q)
	}
	for _, c := range Decide(qs, machine(), nil).Cut {
		if c.Resource == Trees {
			t.Fatalf("%+v", c)
		}
	}
}

// A query of two dashboards is computed while one of them has room.
func TestAnyOwnerMayPay(t *testing.T) {
	var qs []Query
	for i := range 100 {
		qs = append(qs, query("greedy", "", i, 20_000))
	}
	shared := query("greedy", "", 999, 20_000)
	shared.Owners = []wire.Owner{{Dashboard: "greedy"}, {Dashboard: "honest"}}
	if _, cut := Decide(append(qs, shared), machine(), nil).Cut[shared.Key]; cut {
		t.Error("the honest dashboard lost its query to the other")
	}
}

func TestWhatWasCutComesBackWithRoom(t *testing.T) {
	q := query("b", "", 1, 20_000)
	b := machine()
	need := q.Cost()[Trees]
	b.Total[Trees] = need / b.Share * 1.05
	if d := Decide([]Query{q}, b, nil); len(d.Cut) != 0 {
		t.Errorf("cut %v", d.Cut)
	}
	before := map[string]Cut{q.Key: {SinceMs: 7}}
	if d := Decide([]Query{q}, b, before); len(d.Cut) != 1 || d.Cut[q.Key].SinceMs != 7 {
		t.Errorf("it came back with no room to spare: %v", d.Cut)
	}
	b.Total[Trees] *= 1.1
	if d := Decide([]Query{q}, b, before); len(d.Cut) != 0 {
		t.Errorf("still cut: %v", d.Cut)
	}
}

func TestReportIsReadBack(t *testing.T) {
	d := Decide([]Query{query("b", "eve", 1, 900_000)}, machine(), nil)
	r := Report{Share: .25, Total: machine().Total, Used: d.Used, Cut: []Cut{d.Cut["b-001"]}}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got Report
	if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got.Cut, r.Cut) {
		t.Errorf("%s: %v", text, err)
	}
	if s := r.Cut[0].Text(); !strings.Contains(s, "its dashboard would need") || !strings.Contains(s, "256.0 MiB of trees") {
		t.Error(s)
	}
}
