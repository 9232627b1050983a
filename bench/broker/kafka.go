// Package broker starts what benchmarks write to: a real Kafka of one broker, or the embedded one in a process of its own.
package broker

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"pulseboard/internal/embedded"
	"pulseboard/wire"
)

// Kafka is how to start it.
type Kafka struct {
	Jars       string // Folder with kafka/lib, as make test-real fills it.
	Dir        string // For what it stores.
	KeepAll    bool   // Keep all records, not 256 MB of each partition.
	Partitions int    // Of the topic of the events.
	// Start starts a process whose name is for people.
	Start func(name, path string, args ...string) (*embedded.Child, error)
}

// One broker. Retention is short because a run of 20 minutes at 100,000 events/s
// writes 10 GB, and nothing is read twice; all of a load of the past is kept.
const kafkaProperties = `process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=@CONTROLLER
listeners=PLAINTEXT://@BROKER,CONTROLLER://@CONTROLLER
advertised.listeners=PLAINTEXT://@BROKER
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=@DIR
auto.create.topics.enable=false
log.cleaner.enable=false
log.index.size.max.bytes=1048576
log.segment.bytes=33554432
log.retention.bytes=@RETENTION
log.retention.check.interval.ms=10000
log.segment.delete.delay.ms=1000
`

const kafkaLog = `<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="ERROR" shutdownHook="disable"><Appenders><Console name="C" target="SYSTEM_OUT"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="C"/></Root></Loggers></Configuration>`

// Run starts the broker with the topics, and returns its address and its process.
func (k Kafka) Run(ctx context.Context) (addr string, child *embedded.Child, err error) {
	free, err := Addresses(ctx, 2)
	if err != nil {
		return "", nil, err
	}
	log, properties := filepath.Join(k.Dir, "log4j2.xml"), filepath.Join(k.Dir, "server.properties")
	retention := "268435456"
	if k.KeepAll {
		retention = "-1"
	}
	text := strings.NewReplacer("@BROKER", free[0], "@CONTROLLER", free[1], "@DIR", filepath.Join(k.Dir, "kafka"), "@RETENTION", retention).Replace(kafkaProperties)
	for path, text := range map[string]string{log: kafkaLog, properties: text} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", nil, err
		}
	}
	// 512 MB are enough at 100,000 events/s; the tests' 256 MB and first compiler would be the limit before Flink is.
	java := []string{"-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-Dlog4j2.configurationFile=" + log, "-cp", filepath.Join(k.Jars, "kafka", "lib", "*")}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // It does not fail.
	id[0] = 0            // An id that begins with a dash would be read as a flag.
	format, err := k.Start("kafka-format", "java", append(java, "kafka.tools.StorageTool", "format", "--standalone", "-g",
		"-t", base64.RawURLEncoding.EncodeToString(id), "-c", properties)...)
	if err != nil {
		return "", nil, err
	}
	<-format.Done()
	if err := format.Err(); !strings.Contains(err.Error(), "exit code 0") {
		return "", nil, err
	}
	child, err = k.Start("Kafka", "java", append(java, "kafka.Kafka", properties)...)
	if err != nil {
		return "", nil, err
	}
	c := &kafka.Client{Addr: kafka.TCP(free[0])}
	return free[0], child, Until(ctx, child, "Kafka", func(ctx context.Context) error { return k.makeTopics(ctx, c) })
}

func (k Kafka) makeTopics(ctx context.Context, c *kafka.Client) error {
	res, err := c.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{
		{Topic: wire.Topic, NumPartitions: k.Partitions, ReplicationFactor: 1}, {Topic: wire.DeadLetterTopic, NumPartitions: 1, ReplicationFactor: 1},
	}})
	if err != nil {
		return err
	}
	for name, err := range res.Errors {
		if err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
			return fmt.Errorf("topic %s: %w", name, err)
		}
	}
	// A topic in the metadata does not take records yet: the first would get NotLeader.
	var last []kafka.OffsetRequest
	for p := range k.Partitions {
		last = append(last, kafka.LastOffsetOf(p))
	}
	offsets, err := c.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{wire.Topic: last}})
	if err != nil {
		return err
	}
	if n := len(offsets.Topics[wire.Topic]); n != k.Partitions {
		return fmt.Errorf("%d of %d partitions", n, k.Partitions)
	}
	for _, p := range offsets.Topics[wire.Topic] {
		if p.Error != nil {
			return p.Error
		}
	}
	return nil
}

// How long a server may take to begin.
const patience = 2 * time.Minute

// Until repeats a check until it holds, as long as the process lives.
func Until(ctx context.Context, child *embedded.Child, what string, ok func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for {
		err := ok(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-child.Done():
			return fmt.Errorf("waiting for %s: %w", what, child.Err())
		case <-ctx.Done():
			return fmt.Errorf("waited too long for %s: %w", what, err)
		case <-every.C:
		}
	}
}

// Addresses takes free ports together, so that they differ.
func Addresses(ctx context.Context, n int) ([]string, error) {
	var lc net.ListenConfig
	out := make([]string, 0, n)
	for range n {
		ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close() //nolint:errcheck // It was only taken to know its port.
		out = append(out, ln.Addr().String())
	}
	return out, nil
}
