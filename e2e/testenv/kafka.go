package testenv

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// KafkaCluster is one or three real brokers.
type KafkaCluster struct {
	t       *testing.T
	brokers []*Server
	addrs   []string
	client  *kafka.Client
}

const kafkaLog = `<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="ERROR" shutdownHook="disable"><Appenders><Console name="C" target="SYSTEM_OUT"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="C"/></Root></Loggers></Configuration>`

// Short sessions: a killed broker is replaced, or back, in two seconds and not in eleven.
const kafkaProperties = `process.roles=broker,controller
node.id=@ID
controller.quorum.bootstrap.servers=@QUORUM
listeners=PLAINTEXT://@BROKER,CONTROLLER://@CONTROLLER
advertised.listeners=PLAINTEXT://@BROKER
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=@DIR
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=2097152
log.index.size.max.bytes=1048576
num.network.threads=1
num.io.threads=2
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
replica.lag.time.max.ms=3000
controller.quorum.election.timeout.ms=500
controller.quorum.fetch.timeout.ms=1000
`

func randomID() string {
	for {
		b := make([]byte, 16)
		_, _ = rand.Read(b) // It does not fail.
		if id := base64.RawURLEncoding.EncodeToString(b); id[0] != '-' {
			return id
		}
	}
}

// StartKafka starts 1 or 3 brokers and makes the topics; three keep each record twice before it is acknowledged.
func StartKafka(t *testing.T, brokers int, topics ...Topic) *KafkaCluster {
	t.Helper()
	return startKafka(t, brokers, "", nil, topics)
}

// startKafka has more properties, of which the last of a name counts, and arguments for the formatting.
func startKafka(t *testing.T, brokers int, more string, format []string, topics []Topic) *KafkaCluster {
	t.Helper()
	k := &KafkaCluster{t: t}
	p := Ports(t, 2*brokers)
	var quorum, initial []string
	for i := range brokers {
		k.addrs = append(k.addrs, address(p+i))
		quorum = append(quorum, address(p+brokers+i))
		initial = append(initial, fmt.Sprintf("%d@%s:%s", i+1, quorum[i], randomID()))
	}
	cluster := randomID()
	for i := range brokers {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "log4j2.xml"), kafkaLog)
		write(t, filepath.Join(dir, "server.properties"), strings.NewReplacer(
			"@ID", fmt.Sprint(i+1), "@QUORUM", strings.Join(quorum, ","), "@BROKER", k.addrs[i], "@CONTROLLER", quorum[i], "@DIR", filepath.Join(dir, "data"),
		).Replace(kafkaProperties+more))
		arguments := append([]string{"format", "-g", "-t", cluster, "-c", "server.properties", "--initial-controllers", strings.Join(initial, ",")}, format...)
		format := newServer(t, dir, "kafka-format", "java", kafkaJava(dir, "kafka.tools.StorageTool", arguments...)...)
		format.Start()
		<-format.child.Done()
		if err := format.child.Err(); !strings.Contains(err.Error(), "exit code 0") {
			t.Fatal(err)
		}
		k.brokers = append(k.brokers, newServer(t, dir, fmt.Sprintf("kafka-%d", i+1), "java", kafkaJava(dir, "kafka.Kafka", "server.properties")...))
		k.brokers[i].Start()
	}
	transport := &kafka.Transport{MetadataTTL: 100 * time.Millisecond}
	t.Cleanup(transport.CloseIdleConnections)
	k.client = &kafka.Client{Addr: kafka.TCP(k.addrs...), Timeout: 10 * time.Second, Transport: transport}
	k.ready()
	k.makeTopics(topics)
	return k
}

func kafkaJava(dir, main string, args ...string) []string {
	return append([]string{
		"-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.configurationFile=" + filepath.Join(dir, "log4j2.xml"),
		"-cp", KafkaJars(), main,
	}, args...)
}

func (k *KafkaCluster) ready() {
	k.t.Helper()
	k.brokers[0].until("Kafka", func(ctx context.Context) error {
		m, err := k.client.Metadata(ctx, &kafka.MetadataRequest{})
		if err == nil && len(m.Brokers) < len(k.brokers) {
			err = fmt.Errorf("%d of %d brokers", len(m.Brokers), len(k.brokers))
		}
		return err
	})
}

func (k *KafkaCluster) makeTopics(topics []Topic) {
	k.t.Helper()
	for _, topic := range topics {
		k.brokers[0].until("topic "+topic.Name, func(ctx context.Context) error {
			c := kafka.TopicConfig{Topic: topic.Name, NumPartitions: topic.Partitions, ReplicationFactor: len(k.brokers)}
			if len(k.brokers) > 1 {
				c.ConfigEntries = append(c.ConfigEntries, kafka.ConfigEntry{ConfigName: "min.insync.replicas", ConfigValue: "2"})
			}
			if topic.LogAppendTime {
				c.ConfigEntries = append(c.ConfigEntries, kafka.ConfigEntry{ConfigName: "message.timestamp.type", ConfigValue: "LogAppendTime"})
			}
			res, err := k.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{c}})
			if err == nil {
				err = res.Errors[topic.Name]
			}
			return err
		})
		// A topic in the metadata does not take records yet: the first would get NotLeader.
		for p := range topic.Partitions {
			k.brokers[0].until("leader", func(ctx context.Context) error {
				res, err := k.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic.Name: {kafka.LastOffsetOf(p)}}})
				if err == nil && len(res.Topics[topic.Name]) == 1 {
					err = res.Topics[topic.Name][0].Error
				}
				return err
			})
		}
	}
}

// Addr returns host:port of a broker.
func (k *KafkaCluster) Addr(i int) string { return k.addrs[i] }

// Addrs returns all of them.
func (k *KafkaCluster) Addrs() []string { return k.addrs }

// Broker returns a broker's process.
func (k *KafkaCluster) Broker(i int) interface {
	Kill()
	Pid() int
} {
	return k.brokers[i]
}

// Restart starts a killed broker again, on its port and its records.
func (k *KafkaCluster) Restart(i int) {
	k.t.Helper()
	k.brokers[i].Start()
}
