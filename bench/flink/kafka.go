package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/segmentio/kafka-go"
)

const (
	topic       = "metric-events"
	deadLetters = "metric-dead-letters"
	partitions  = 16
)

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

// startKafka starts a broker with the topics and returns its address.
func (s *servers) startKafka(ctx context.Context, jars string, keepAll bool) (addr string, err error) {
	free, err := addresses(ctx, 2)
	if err != nil {
		return "", err
	}
	log, properties := filepath.Join(s.dir, "log4j2.xml"), filepath.Join(s.dir, "server.properties")
	retention := "268435456"
	if keepAll {
		retention = "-1"
	}
	text := strings.NewReplacer("@BROKER", free[0], "@CONTROLLER", free[1], "@DIR", filepath.Join(s.dir, "kafka"), "@RETENTION", retention).Replace(kafkaProperties)
	for path, text := range map[string]string{log: kafkaLog, properties: text} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	// 512 MB are enough at 100,000 events/s; the tests' 256 MB and first compiler would be the limit before Flink is.
	java := []string{"-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-Dlog4j2.configurationFile=" + log, "-cp", filepath.Join(jars, "kafka", "lib", "*")}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // It does not fail.
	id[0] = 0            // An id that begins with a dash would be read as a flag.
	format, err := s.start("kafka-format", "java", nil, nil, append(java, "kafka.tools.StorageTool", "format", "--standalone", "-g",
		"-t", base64.RawURLEncoding.EncodeToString(id), "-c", properties)...)
	if err != nil {
		return "", err
	}
	<-format.Done()
	if err := format.Err(); !strings.Contains(err.Error(), "exit code 0") {
		return "", err
	}
	s.all = s.all[:0] // It has ended, as it should.
	broker, err := s.start("Kafka", "java", nil, nil, append(java, "kafka.Kafka", properties)...)
	if err != nil {
		return "", err
	}
	c := &kafka.Client{Addr: kafka.TCP(free[0])}
	return free[0], broker.until(ctx, "Kafka", func(ctx context.Context) error { return makeTopics(ctx, c) })
}

func makeTopics(ctx context.Context, c *kafka.Client) error {
	res, err := c.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{
		{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}, {Topic: deadLetters, NumPartitions: 1, ReplicationFactor: 1},
	}})
	if err != nil {
		return err
	}
	for name, err := range res.Errors {
		if err != nil && !strings.Contains(err.Error(), "already exists") {
			return fmt.Errorf("topic %s: %w", name, err)
		}
	}
	// A topic in the metadata does not take records yet: the first would get NotLeader.
	var last []kafka.OffsetRequest
	for p := range partitions {
		last = append(last, kafka.LastOffsetOf(p))
	}
	offsets, err := c.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: last}})
	if err != nil {
		return err
	}
	if len(offsets.Topics[topic]) != partitions {
		return fmt.Errorf("%d of %d partitions", len(offsets.Topics[topic]), partitions)
	}
	for _, p := range offsets.Topics[topic] {
		if p.Error != nil {
			return p.Error
		}
	}
	return nil
}
