package property_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"pulseboard/e2e/testenv"
)

// fates is what producers say became of what they wrote.
type fates map[mark]string

// outsider is a producer in another language, as a process. It writes until its
// standard input ends, and then says what became of each record.
type outsider struct {
	name  string
	cmd   *exec.Cmd
	input io.Closer
	said  bytes.Buffer
	log   *testenv.Buffer
}

func startOutsider(t *testing.T, path string, args ...string) *outsider {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	o := &outsider{name: filepath.Base(path), cmd: exec.CommandContext(ctx, path, args...), log: new(testenv.Buffer)}
	o.cmd.Stdout, o.cmd.Stderr = &o.said, o.log
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	if o.input, err = o.cmd.StdinPipe(); err == nil {
		err = o.cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = o.cmd.Wait() // It has ended already where all is well.
	})
	return o
}

// stop adds what it says to what others said.
func (o *outsider) stop(all fates) error {
	_ = o.input.Close() // One that has ended is found out below.
	killed := time.AfterFunc(3*time.Minute, func() { _ = o.cmd.Process.Kill() })
	defer killed.Stop()
	if err := o.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w: %s", o.name, err, testenv.Page(o.log.String()))
	}
	for lines := bufio.NewScanner(&o.said); lines.Scan(); {
		var m mark
		var fate string
		if _, err := fmt.Sscan(lines.Text(), &m.client, &m.seq, &fate); err != nil || all[m] != "" {
			return fmt.Errorf("%s says %q: %w", o.name, lines.Text(), errors.Join(err, errors.New("or twice")))
		}
		all[m] = fate
	}
	return nil
}

// busyMetrics are those that a partitioner puts where there is always something. A slow
// clock in a partition that is silent is overtaken: its time follows the clock.
func busyMetrics(b kafka.Balancer) []string {
	var all []int
	for p := range partitions {
		all = append(all, p)
	}
	var names []string
	for m := range metrics {
		if b.Balance(kafka.Message{Key: []byte(metricName(m))}, all...) != silentPartition {
			names = append(names, metricName(m))
		}
	}
	return names
}

// The partitioners of librdkafka and of Java, which ingest has too: with them a metric
// lies in several partitions.
func byLibrdkafka() kafka.Balancer { return kafka.CRC32Balancer{Consistent: true} }
func byJava() kafka.Balancer       { return kafka.Murmur2Balancer{Consistent: true} }

// startOutsiders starts those that write with librdkafka and with Kafka's own client.
func startOutsiders(t *testing.T, addr string, seed uint64) []*outsider {
	t.Helper()
	sources, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	arguments := func(b kafka.Balancer, before ...string) []string {
		return append(before, addr, topic, strings.Join(busyMetrics(b), ","), fmt.Sprint(seed))
	}
	if _, err := os.Stat(testenv.Librdkafka()); err != nil {
		t.Fatal(err)
	}
	return []*outsider{
		startOutsider(t, testenv.Librdkafka(), arguments(byLibrdkafka(), filepath.Join(sources, "producer.py"))...),
		startOutsider(t, "java", arguments(byJava(), "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
			"-cp", testenv.KafkaJars(), filepath.Join(sources, "Producer.java"))...),
	}
}

// verdicts is how what producers were told differs from the log.
type verdicts struct {
	acked, committed, aborted, abandoned, posted int
	lost, twice, unaccounted                     int
	examples                                     []string
}

// settle compares what producers were told with what the log has.
func (l *topicLog) settle(told fates) *verdicts {
	v := new(verdicts)
	say := func(n *int, m mark, what string) {
		if *n++; len(v.examples) < 10 {
			v.examples = append(v.examples, fmt.Sprintf("%s %d: %s", m.client, m.seq, what))
		}
	}
	for m, fate := range told {
		s := l.marks[m]
		if s == nil {
			s = new(sightings)
		}
		switch fate {
		case "acked":
			v.acked++
		case "committed":
			v.committed++
		case "aborted":
			v.aborted++
		case "abandoned":
			v.abandoned++
		}
		switch {
		case s.times > 1 || s.counts > 1:
			say(&v.twice, m, fmt.Sprintf("%s, and it is in the log %d times, and counts %d times", fate, s.times, s.counts))
		case (fate == "acked" || fate == "committed") && s.counts == 0:
			say(&v.lost, m, fmt.Sprintf("%s, and it is in the log %d times, and does not count", fate, s.times))
		case (fate == "aborted" || fate == "abandoned") && s.counts > 0:
			say(&v.unaccounted, m, fate+", and it counts")
		}
	}
	for m := range l.marks {
		if told[m] == "" {
			say(&v.unaccounted, m, "it is in the log, and nobody says that he wrote it")
		}
	}
	return v
}

// settlePosts compares the events that ingest acknowledged, which count once.
func (l *topicLog) settlePosts(v *verdicts, acked []mark) {
	v.posted = len(acked)
	for _, m := range acked {
		switch n := l.posted[m]; {
		case n == 0:
			v.lost++
			v.examples = append(v.examples, fmt.Sprintf("%s %d: acknowledged, and it does not count", m.client, m.seq))
		case n > 1:
			v.twice++
			v.examples = append(v.examples, fmt.Sprintf("%s %d: it counts %d times", m.client, m.seq, n))
		}
	}
}
