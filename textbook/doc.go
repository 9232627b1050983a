// Package textbook computes sliding windows as Beam's books have it. It is the form to learn from, and the
// one that the fast path of package transforms is compared with (pipeline.TestFastPathEqualsTextbookForm).
//
//	Kafka
//	  │ sources.Read, sources.ReadBounded
//	  ▼
//	PCollection<*sources.Batch>            events of some records
//	  │ ParDo(selectFn)                    filter; key = query and group
//	  ▼
//	PCollection<KV<string, Sample>>        a value with its event time
//	  │ ParDo(timeFn)                      the element's timestamp becomes the event time
//	  │ WindowInto(SlidingWindows)         each sample is now in length/period windows
//	  │ CombinePerKey(AccumulateFn)        one accumulator per key and window
//	  ▼
//	PCollection<KV<string, Accumulator>>
//	  │ ParDo(partFn), GroupByKey          the groups of a query come together
//	  │ ParDo(resultFn)                    extracts the aggregation
//	  ▼
//	PCollection<wire.Result>
//	  │ WriteOrdered                       in the order of the windows' ends
//	  ▼
//	Redis or JSON lines
//
// What a reader of Beam's documentation finds here:
//
//   - Event time. Windows are made of the elements' timestamps, not of when they arrive: timeFn and sampleFn.
//   - The window function. SlidingWindows copies an element into every window that it belongs to, FixedWindows
//     into one. A window of ten minutes that moves each second costs 600 additions an event.
//   - The CombineFn. AccumulateFn is an accumulator with AddInput and MergeAccumulators, so that a runner may
//     combine before the shuffle, in any grouping: sums, extremes and sketches merge, averages do not.
//   - The watermark. A window is emitted once, when the watermark passes its end; here the source holds it back by
//     the allowed lateness, so that nothing that counts is late.
//   - Bounded and unbounded input. The same graph reads a part of a topic and ends, or goes on for ever.
//
// The fast path has the same semantics with other means, because two of these are dear: it adds each event once, to
// a slice of FixedWindows, keeps the slices of a key in state, and lets a looping timer evaluate windows of any
// length over them, as soon as their end has passed.
//
// SlidingSum and its kind take any PCollection<KV<string, float64>>; the examples show them and AccumulateFn.
// Compute and Run are pipeline --reference (docs/reference.md).
package textbook
