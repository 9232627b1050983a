package sources

import (
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/internal/kafkaconn"
	"pulseboard/metric"
)

// broken is a broker whose clock says what the test does.
type broken struct {
	t      *testing.T
	addr   string
	client *kgo.Client
	topic  string
	id     [16]byte
}

func newBroken(t *testing.T) *broken {
	t.Helper()
	const topic = "events"
	cluster := newCluster(t, 1, topic)
	addr := cluster.ListenAddrs()[0]
	client, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	b := newBroker(kafkaconn.At(addr), topic)
	defer b.close()
	if _, err := b.partitions(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &broken{t, addr, client, topic, b.topicID()}
}

// take writes a record that the broker says it took at a time, epoch ms; without stamped the
// time is the producer's.
func (b *broken) take(name string, at int64, stamped bool) {
	b.t.Helper()
	rec := kmsg.Record{Key: []byte(name), Value: fmt.Appendf(nil, `{"metric_name":%q,"value":1}`, name)}
	rec.Length = int32(len(rec.AppendTo(nil)) - 1)
	batch := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, FirstTimestamp: at, MaxTimestamp: at, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: 1, Records: rec.AppendTo(nil),
	}
	if stamped {
		batch.Attributes = kafkaconn.Stamped
	}
	text := batch.AppendTo(nil)
	batch.Length = int32(len(text) - 12)
	text = batch.AppendTo(nil)
	batch.CRC = int32(crc32.Checksum(text[21:], crc32.MakeTable(crc32.Castagnoli)))
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	topic, p := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	topic.Topic, topic.TopicID = b.topic, b.id
	p.Records = batch.AppendTo(nil)
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	answer, err := b.client.SeedBrokers()[0].Request(b.t.Context(), req)
	if err == nil {
		err = kerr.ErrorForCode(answer.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *broken) reader(o Options) *reader {
	o.Topic, o.SliceMs, o.OutOfOrderMs, o.MaxFutureMs, o.LatenessMs = b.topic, 1000, 200, 2000, 60_000
	r := &reader{options: o, broker: newBroker(kafkaconn.At(b.addr), b.topic)}
	b.t.Cleanup(r.broker.close)
	return r
}

func (b *broken) read(o Options, from int64) (all []Record) {
	b.t.Helper()
	r := b.reader(o)
	for c, quiet := r.newCursor(found{start: from}), false; !quiet; {
		a, err := r.readOnce(b.t.Context(), c, time.Time{})
		if err != nil {
			b.t.Fatal(err)
		}
		all, quiet = append(all, a.records...), a.quiet
	}
	return all
}

// The clock of a broker that was wrong for a while: what it stamped then counts at the
// time of the log before it, and the log goes on where the clock is right again.
func TestAWrongClockOfABroker(t *testing.T) {
	for name, c := range map[string]struct{ stamps, times []int64 }{ // Seconds from now.
		"right":                   {[]int64{-20, -19, -18}, []int64{-20, -19, -18}},
		"a pause":                 {[]int64{-600, -599, -299, -298}, []int64{-600, -599, -299, -298}},
		"a pause at the end":      {[]int64{-600, -599, -1}, []int64{-600, -599, -1}},
		"slewed":                  {[]int64{-50, -46, -47, -45}, []int64{-50, -46, -47, -45}},
		"some seconds ahead":      {[]int64{-50, -46, -49, -45}, []int64{-50, -50, -49, -45}},
		"ten seconds ahead":       {[]int64{-50, -39, -38, -47, -46}, []int64{-50, -50, -50, -47, -46}},
		"a pause, then set back":  {[]int64{-50, -39, -38, -41, -40}, []int64{-50, -39, -38, -41, -40}},
		"a pause long before":     {[]int64{-200, -190, -189, -120, -129}, []int64{-200, -190, -189, -120, -129}},
		"ahead again and again":   {[]int64{-50, -43, -42, -47, -46, -40, -39, -44, -43}, []int64{-50, -50, -50, -47, -46, -46, -46, -44, -43}},
		"late by a leader's":      {[]int64{-90, -89, -120, -88}, []int64{-90, -89, -120, -88}},
		"ahead of now":            {[]int64{-10, -9, 7200, 7201, -7, -6}, []int64{-10, -9, -9, -9, -7, -6}},
		"ahead of now at the end": {[]int64{-10, -9, 7200, 7201}, []int64{-10, -9, -9, -9}},
		"half a minute ahead":     {[]int64{-10, -9, 30, -7}, []int64{-10, -9, -9, -7}},
		"ahead, long ago":         {[]int64{-900, -899, -599, -598, -897, -896, -895, -894, -500}, []int64{-900, -899, -899, -899, -897, -896, -895, -894, -500}},
		"ahead twice":             {[]int64{-900, -599, -899, -898, -300, -897, -896}, []int64{-900, -900, -899, -898, -898, -897, -896}},
		"behind":                  {[]int64{-100, -99, -7300, -7299, -96}, []int64{-100, -99, -99, -99, -96}},
		"behind, and nothing yet": {[]int64{-100, -99, -7300, -7299}, []int64{-100, -99, -99, -99}},
		"behind at the beginning": {[]int64{-7300, -7299, -100, -99}, []int64{-7300, -7299, -100, -99}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroken(t)
			now := time.Now().UnixMilli()
			for _, s := range c.stamps {
				b.take("m", now+1000*s, true)
			}
			var times []int64
			newest := int64(math.MinInt64)
			for _, rec := range b.read(Options{}, 0) {
				times = append(times, int64(math.Round(float64(rec.Time-now)/1000)))
				if newest = max(newest, rec.Time); rec.Newest != newest || len(rec.Events) != 1 {
					t.Errorf("%+v; the newest is %d", rec, newest)
				}
			}
			if !slices.Equal(times, c.times) {
				t.Errorf("stamps %v count at %v, want %v", c.stamps, times, c.times)
			}
		})
	}
}

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

// A record that was taken while the clock was wrong was taken before the clock was right
// again: up to then its events may state.
func TestWhenAWrongClockTookARecord(t *testing.T) {
	const now = 1000                                                  // Stands for the time of the read.
	for name, c := range map[string]struct{ stamps, latest []int64 }{ // Seconds from now.
		"right":                   {[]int64{-20, -19}, []int64{-20, -19}},
		"ahead of now":            {[]int64{-10, -9, 7200, 7201, -7, -6}, []int64{-10, -9, -7, -7, -7, -6}},
		"ahead of now at the end": {[]int64{-10, -9, 30, 31}, []int64{-10, -9, now, now}},
		"ahead, long ago":         {[]int64{-900, -899, -869, -868, -895, -894, -893, -892}, []int64{-900, -899, -895, -895, -895, -894, -893, -892}},
		"ahead twice":             {[]int64{-900, -599, -899, -898, -300, -897, -896}, []int64{-900, -899, -899, -898, -897, -897, -896}},
		"ten seconds ahead":       {[]int64{-50, -39, -38, -47, -46}, []int64{-50, -47, -47, -47, -46}},
		"behind":                  {[]int64{-100, -99, -7300, -7299, -90}, []int64{-100, -99, -90, -90, -90}},
		"behind, and nothing yet": {[]int64{-100, -99, -7300}, []int64{-100, -99, now}},
		"ahead, and then behind":  {[]int64{-100, 600, -7300, -90}, []int64{-100, -90, -90, -90}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroken(t)
			began := time.Now().UnixMilli()
			for _, s := range c.stamps {
				b.take("m", began+1000*s, true)
			}
			records := b.read(Options{}, 0)
			for i, want := range c.latest {
				first, last := began+1000*want, began+1000*want
				if want == now {
					first, last = began, time.Now().UnixMilli()
				}
				if got := records[i].Latest; got < first || got > last {
					t.Errorf("stamp %d: events of up to %+d ms, want %+d", c.stamps[i], got-began, first-began)
				}
			}
		})
	}
}

// What is read again begins elsewhere, and judges the same of what it needs.
func TestAWrongClockInAReplay(t *testing.T) {
	b := newBroken(t)
	now := time.Now().UnixMilli()
	for _, s := range []int64{-900, -899, -599, -598, -897, -896, -895, -500, -499} {
		b.take("m", now+1000*s, true)
	}
	whole := b.read(Options{}, 0)
	for from := int64(2); from < int64(len(whole)); from++ {
		start := now - 700_000
		for i, rec := range b.read(Options{StartMs: start}, from) {
			if want := whole[int(from)+i]; rec.Time != want.Time && (rec.Time > start || want.Time > start) {
				t.Errorf("read from %d, record %d counts at %d, else at %d", from, rec.Offset, rec.Time-now, want.Time-now)
			}
		}
	}
}

// A clock of ours that is slow, of which Redis knows, makes no broker's wrong.
func TestASlowClockOfOurs(t *testing.T) {
	b := newBroken(t)
	now := time.Now().UnixMilli()
	for _, s := range []int64{20, 21, 22} {
		b.take("m", now+1000*s, true)
	}
	for i, rec := range b.read(Options{ClockMs: 22_000}, 0) {
		if want := now + 20_000 + int64(i)*1000; rec.Time != want {
			t.Errorf("record %d counts at %+d ms, want %+d", i, rec.Time-now, want-now)
		}
	}
}

// Once results were published by a clock that was ahead, the run must begin anew.
func TestTheRunIsToldThatTimeGoesBack(t *testing.T) {
	b := newBroken(t)
	var told []error
	began := time.Now()
	OnSetBack(t.Name(), func(err error, since time.Time) {
		if told = append(told, err); since.After(time.Now()) || since.Before(began.Add(-2*time.Second)) {
			t.Errorf("right until %v, want a second ago", time.Since(since))
		}
	})
	t.Cleanup(func() { Close(t.Name()) })
	r := b.reader(Options{Run: t.Name()})
	c := r.newCursor(found{})
	for _, s := range []int64{-1, 30, 31, 1} { // From the second on they come while it reads.
		b.take("m", time.Now().UnixMilli()+1000*s, true)
		if _, err := r.readOnce(t.Context(), c, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if (s == 1) != (len(told) == 1) {
			t.Errorf("after %d s: told %v", s, told)
		}
	}
}

// An oldest record with a wrong time does not say from when on everything is there.
func TestCoveredSinceIsNoProducersMistake(t *testing.T) {
	for name, wrong := range map[string]int64{"nanoseconds": time.Now().UnixNano(), "next year": time.Now().UnixMilli() + 365*86_400_000, "zero": 0} {
		b := newBroken(t)
		now := time.Now().UnixMilli()
		b.take("m", now-50_000, false)
		b.take("m", wrong, false)
		for i := range int64(20) {
			b.take("m", now-40_000+i, false)
		}
		req := kmsg.NewPtrDeleteRecordsRequest()
		topic, p := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
		topic.Topic, p.Offset = b.topic, 1
		topic.Partitions = append(topic.Partitions, p)
		req.Topics = append(req.Topics, topic)
		if _, err := req.RequestWith(t.Context(), b.client); err != nil {
			t.Fatal(err)
		}
		r := b.reader(Options{})
		start, since, err := r.broker.startAt(t.Context(), 0, now-60_000, r.isOldAhead)
		if err != nil || start > 2 || since < now-40_000 || since > now-39_000 {
			t.Errorf("%s: from offset %d covered since %+d ms, %v", name, start, since-now, err)
		}
	}
}

// Times at the ends of what fits a timestamp end in one place, and move nothing.
func TestTimesAtTheEnds(t *testing.T) {
	b := newBroken(t)
	now := time.Now()
	b.take("honest", now.UnixMilli(), false)
	for _, at := range []int64{math.MinInt64, math.MinInt64 + 1, -1, 0, now.UnixMicro(), now.UnixNano(), math.MaxInt64 - 1, math.MaxInt64} {
		b.take("wrong", at, false)
		b.take("honest", now.UnixMilli(), false)
	}
	p := &partition{end: -1}
	for _, rec := range b.read(Options{}, 0) {
		isHonest := string(rec.Key) == "honest"
		dead, late := rec.Unreadable.Code == metric.CodeFromTheFuture, rec.Newest-rec.Time > 60_000
		if isHonest == (dead || late) || dead && late || rec.Newest != now.UnixMilli() {
			t.Errorf("%+v: dead letter %v, too late %v", rec, dead, late)
		}
		p.head = answer{records: []Record{rec}, next: rec.Offset + 1}
		p.see(&Options{OutOfOrderMs: 200, SliceMs: 1000})
		if p.time != now.UnixMilli()-200 {
			t.Errorf("after %+v the time is %d, want %d", rec, p.time, now.UnixMilli()-200)
		}
	}
}
