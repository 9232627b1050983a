package aggregate_test

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"pulseboard/aggregate"
	"pulseboard/metric"
)

// minute is 64 slices of some metrics, each series with four events a second.
func minute(value func(*rand.Rand) float64) aggregate.Table {
	r := rand.New(rand.NewPCG(5, 6))
	t := aggregate.Table{}
	for slice := int64(1000); slice < 1064; slice++ {
		for s := range 80 {
			tags := metric.NewTags(map[string]string{"host": "host-" + string(rune('a'+s%20)), "region": "eu-west"}).AppendKey(nil)
			key := aggregate.NewName([]string{"http.latency", "http.requests", "cpu", "memory"}[s/20], string(tags))
			for range 4 {
				t.Add(slice, key, value(r), slice*1000+r.Int64N(1000))
			}
		}
	}
	return t
}

func kinds() map[string]func(*rand.Rand) float64 {
	return map[string]func(*rand.Rand) float64{
		"integers":  func(r *rand.Rand) float64 { return float64(r.IntN(1000)) },
		"decimals":  func(r *rand.Rand) float64 { return math.Round(r.Float64()*1e5) / 1000 },
		"negatives": func(r *rand.Rand) float64 { return -math.Round(r.Float64()*1e4) / 100 },
		"any":       func(r *rand.Rand) float64 { return r.NormFloat64() },
		"extremes": func(r *rand.Rand) float64 {
			return []float64{0, math.Copysign(0, -1), 5e-324, math.MaxFloat64, -math.MaxFloat64, 1 << 53, 0.1, 1e-7}[r.IntN(8)]
		},
	}
}

// Every bit of every accumulator is there again.
func TestTableIsRead(t *testing.T) {
	for name, value := range kinds() {
		table := minute(value)
		table.AddFor(aggregate.NeedSketch, 3, aggregate.NewName("late", ""), 1.5, 3500)
		got, err := aggregate.DecodeTable(aggregate.AppendTable(nil, table))
		if err != nil || !reflect.DeepEqual(got.Held(), table.Held()) {
			t.Errorf("%s: %d events, %v; want %d", name, got.Count(), err, table.Count())
		}
	}
}

func TestTableTruncated(t *testing.T) {
	b := aggregate.AppendTable(nil, minute(kinds()["decimals"]))
	for n := range b {
		if n > 2000 && n%97 != 0 {
			continue
		}
		if _, err := aggregate.DecodeTable(b[:n]); err == nil {
			t.Fatalf("the first %d bytes of %d read as a table", n, len(b))
		}
	}
}
