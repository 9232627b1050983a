package sources

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func logOf(records int64) *fakeLog {
	log := newFakeLog()
	for i := range records {
		log.append(plain, -1, fakeRecord{name: "m", at: base - 10*minute + i*minute})
	}
	return log
}

// A shard reads its part of the partitions, each from where its position is, else from the start time.
func TestWhereAShardBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := &fakeTopic{logs: []*fakeLog{logOf(9), logOf(2), logOf(9), logOf(9)}}
		topic.logs[2].retain(7)
		known := Offset{Partition: 2, Next: 8, Inner: 7, From: 6, Time: 5, Newest: 4}
		for name, c := range map[string]struct {
			shard   Shard
			startMs int64
			toEnd   bool
			pos     Position
			want    []assignment
		}{
			"from the beginning": {Shard{1, 2}, 0, false, Position{}, []assignment{
				{Offset: Offset{Partition: 1, From: -1}, end: -1}, {Offset: Offset{Partition: 3, From: -1}, end: -1},
			}},
			"from a time": {Shard{0, 2}, base - 6*minute, false, Position{}, []assignment{
				{Offset: Offset{Partition: 0, Next: 4, From: -1}, end: -1, coveredSince: base - 6*minute + 2000},
				{Offset: Offset{Partition: 2, Next: 7, From: -1}, end: -1, coveredSince: base - 2*minute + 2000},
			}},
			"up to the ends": {Shard{0, 3}, 0, true, Position{}, []assignment{
				{Offset: Offset{Partition: 0, From: -1}, end: 9}, {Offset: Offset{Partition: 3, From: -1}, end: 9},
			}},
			"from a position, with a partition that it lacks": {Shard{0, 2}, base, false, Position{Started: true, CoveredSince: 77, Next: []Offset{known}}, []assignment{
				{Offset: Offset{Partition: 0, From: -1}, end: -1, coveredSince: 77}, {Offset: known, end: -1, coveredSince: 77},
			}},
		} {
			o := testOptions()
			o.StartMs, o.ToEnd = c.startMs, c.toEnd
			got, err := (&discovery{topic, o, c.shard, quietly}).lookUp(t.Context(), c.pos)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
			}
		}
	})
}

// Discovery tries until it knows where to begin, says which partition is the last of the first ones, and then looks for
// further ones, which are read from their beginning.
func TestPartitionsAreDiscovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		fault := errors.New("it does not answer")
		topic := &fakeTopic{err: fault}
		found := make(chan assignment)
		d := discovery{topic, testOptions(), Shard{1, 2}, quietly}
		ended := make(chan struct{})
		go func() { defer close(ended); d.run(ctx, Position{}, found) }()
		none := func(when string) {
			t.Helper()
			time.Sleep(20 * time.Second) //nolint:forbidigo // Of virtual time.
			synctest.Wait()
			select {
			case a := <-found:
				t.Errorf("%s: %+v", when, a)
			default:
			}
		}
		failed := counted(t, readErrors.WithLabelValues("start"))
		none("Kafka does not answer")
		topic.set(nil, logOf(0)) // None for this shard.
		none("a partition of another shard")
		if n := counted(t, readErrors.WithLabelValues("start")) - failed; n < 10 || n > 60 {
			t.Errorf("%v errors in 40 s", n)
		}
		logs := []*fakeLog{logOf(0), logOf(0), logOf(0), logOf(0)}
		topic.set(nil, logs...)
		if a, b := <-found, <-found; a.Partition != 1 || b.Partition != 3 || a.last || !b.last {
			t.Errorf("found %+v and %+v", a, b)
		}
		none("nothing is new")
		topic.set(fault, append(logs, logOf(0), logOf(3))...)
		none("Kafka does not answer")
		topic.set(nil, topic.logs...)
		if a := <-found; a != (assignment{Offset: Offset{Partition: 5}, end: -1}) {
			t.Errorf("found %+v", a)
		}
		none("nothing is new again")
		// The end is seen also while nobody takes what was found.
		topic.set(nil, append(topic.logs, logOf(0), logOf(0))...)
		time.Sleep(20 * time.Second) //nolint:forbidigo // Of virtual time.
		cancel()
		<-ended
	})
}

// A bounded read has the partitions that there were at its start.
func TestABoundedReadDiscoversNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		topic := &fakeTopic{logs: []*fakeLog{logOf(1)}}
		o := testOptions()
		o.ToEnd = true
		found := make(chan assignment, 10)
		ended := make(chan struct{})
		go func() { defer close(ended); (&discovery{topic, o, Shard{0, 1}, quietly}).run(ctx, Position{}, found) }()
		if a := <-found; !a.last || a.end != 1 {
			t.Errorf("found %+v", a)
		}
		topic.set(nil, topic.logs[0], logOf(1))
		time.Sleep(time.Minute) //nolint:forbidigo // Of virtual time.
		cancel()
		if <-ended; len(found) > 0 {
			t.Errorf("found %+v", <-found)
		}
	})
}
