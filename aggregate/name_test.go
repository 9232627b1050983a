package aggregate_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"pulseboard/aggregate"
)

// Rows hold what a map by series would hold, while names are forgotten, their ids are given to others, and rows
// that hold the old ones are still open.
func TestRowsBesideForgottenNames(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	names := aggregate.NewNames()
	table, want := aggregate.Table{}, map[int64]map[[2]string]*aggregate.Acc{}
	reused := 0
	for now := range int64(3000) {
		if now%50 == 0 {
			before := names.Len()
			names.Forget(now - 20)
			reused += before - names.Len()
		}
		// Series come and go: most of those of 100 steps ago are not met again.
		metric, tags := fmt.Sprint("m", r.IntN(3)), fmt.Sprint("s", now/100*10+r.Int64N(60))
		n := names.Of(metric, []byte(tags), now)
		if n.Metric != metric || n.Tags != tags {
			t.Fatalf("%s %s is named %s %s", metric, tags, n.Metric, n.Tags)
		}
		slice, value := now/400+r.Int64N(3), float64(r.IntN(100))
		table.Add(slice, n, value, now)
		if want[slice] == nil {
			want[slice] = map[[2]string]*aggregate.Acc{}
		}
		k := [2]string{metric, tags}
		if want[slice][k] == nil {
			want[slice][k] = new(aggregate.Acc)
		}
		want[slice][k].Add(value, now)
	}
	if reused < 500 {
		t.Errorf("only %d names were forgotten", reused)
	}
	if got := table.Held(); !reflect.DeepEqual(got, want) {
		t.Error("the rows do not hold what was added")
	}
	if read, err := aggregate.DecodeTable(aggregate.AppendTable(nil, table)); err != nil || !reflect.DeepEqual(read.Held(), want) {
		t.Errorf("what is read back is not what was added: %v", err)
	}
}

// A series that is in a row several times, as after the merge of two readers' tables, counts all of it, in whatever
// table it stands; and a row that a store has taken may be gone over again.
func TestSeriesSeveralTimesInARow(t *testing.T) {
	var tables [2]aggregate.Table
	for i := range tables {
		names := aggregate.NewNames() // Of another reader.
		tables[i] = aggregate.Table{}
		for k := range 20 {
			tables[i].Add(int64(k%2), names.Of("m", fmt.Append(nil, k%7), 0), float64(k+i), 0)
		}
	}
	tables[0].Merge(tables[1])
	want := tables[0].Held()
	for range 2 {
		s := aggregate.NewStore(aggregate.Options{Retain: 10})
		s.Merge(tables[0])
		if got := s.Table().Held(); !reflect.DeepEqual(got, want) || s.Series() != 7 {
			t.Errorf("%d series hold %v, want %v", s.Series(), got, want)
		}
	}
}

// What a limit turned away is let in when there is room again, under the name that it had.
func TestANameIsLetInLater(t *testing.T) {
	s := limited(40, 1)
	names := aggregate.NewNames()
	a, b := names.Of("m", []byte("a"), 0), names.Of("m", []byte("b"), 0)
	for at := range int64(200) {
		table := aggregate.Table{}
		if at < 20 {
			table.Add(at, a, 1, at)
		}
		table.Add(at, b, 1, at)
		s.Merge(table)
		if turnedAway := s.TakeOther()["m"]; at < 20 && turnedAway != 1 || at > 120 && turnedAway != 0 {
			t.Fatalf("slice %d: %d events are turned away", at, turnedAway)
		}
	}
	if held := s.SeriesTags()["m"]; !reflect.DeepEqual(held, []string{"b"}) {
		t.Errorf("%q are held", held)
	}
}
