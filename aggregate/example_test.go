package aggregate_test

import (
	"fmt"

	"pulseboard/aggregate"
)

// A tree answers for any range of slices, in a number of merges that grows with the logarithm of its length.
func ExampleTree() {
	t := aggregate.NewTree(600)
	for slice := range int64(600) {
		var a aggregate.Acc
		a.Add(float64(slice), slice*1000)
		t.Add(slice, &a)
	}
	var window aggregate.Acc
	t.Window(&window, 540, 600)
	fmt.Println(window.Count, window.Min, window.Max, window.Sum)
	// Output: 60 540 599 34170
}

// A percentile needs the sketch, which an accumulator has only of events that were added for it.
func ExamplePercentile() {
	var a aggregate.Acc
	for ms := 1; ms <= 1000; ms++ {
		a.AddFor(aggregate.NeedSketch, float64(ms), 0)
	}
	p99, ok := aggregate.Percentile(99, 100)(&a)
	fmt.Println(ok, a.Has(aggregate.NeedSketch), p99 > 990*(1-aggregate.SketchError) && p99 < 990*(1+aggregate.SketchError))
	// Output: true true true
}
