package kafkaconn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	cleanupPolicy = "cleanup.policy"
	timestampType = "message.timestamp.type"
)

// CheckTopic looks at the settings of a topic of events. One that Kafka compacts is an
// error: of each metric it would keep the newest record. One whose timestamps are the
// producers' is told of in the log. Who may not ask for settings is not told.
func (e Endpoint) CheckTopic(ctx context.Context, topic string, log *slog.Logger) error {
	settings, err := e.settings(ctx, topic)
	if errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.UnknownTopicOrPartition) {
		log.Debug("the settings of the topic cannot be asked for", "topic", topic, "error", err)
		return nil
	}
	if err != nil {
		return e.Explain(err)
	}
	alter := func(name, value string) string {
		return fmt.Sprintf("kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config %s=%s", e, topic, name, value)
	}
	if strings.Contains(settings[cleanupPolicy], "compact") {
		return fmt.Errorf("the topic %s has %s=%s: Kafka would keep the newest record of each metric and throw the others away, and windows would lack them; set it to delete, or name another topic with --topic: %s",
			topic, cleanupPolicy, settings[cleanupPolicy], alter(cleanupPolicy, "delete"))
	}
	if settings[timestampType] == "CreateTime" {
		log.Warn("the timestamps of this topic are the clocks of its producers: one that is wrong moves the windows of others; let the broker set them", "topic", topic, "with", alter(timestampType, "LogAppendTime"))
	}
	return nil
}

// LogName names a topic among those of all Kafka clusters.
func (e Endpoint) LogName(ctx context.Context, topic string) (string, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	cluster := ""
	err := e.once(ctx, func(ctx context.Context, c *kgo.Client) error {
		res, err := req.RequestWith(ctx, c)
		if err == nil && res.ClusterID != nil {
			cluster = *res.ClusterID
		}
		return err
	})
	if err != nil {
		return "", e.Explain(err)
	}
	return cluster + "/" + topic, nil
}

// askTimeout is how long Kafka may take for one answer.
const askTimeout = 5 * time.Second

// once runs ask with a client of its own.
func (e Endpoint) once(ctx context.Context, ask func(context.Context, *kgo.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	client, err := kgo.NewClient(append(e.Options(e.Dial(askTimeout)), kgo.SeedBrokers(e.Brokers...), kgo.RequestRetries(0))...)
	if err != nil {
		return err
	}
	defer client.Close()
	return ask(ctx, client)
}

func (e Endpoint) settings(ctx context.Context, topic string) (map[string]string, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{cleanupPolicy, timestampType}
	req.Resources = append(req.Resources, r)
	settings := make(map[string]string)
	return settings, e.once(ctx, func(ctx context.Context, c *kgo.Client) error {
		res, err := req.RequestWith(ctx, c)
		if err != nil {
			return err
		}
		for _, r := range res.Resources {
			if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
				return err
			}
			for _, c := range r.Configs {
				if c.Value != nil {
					settings[c.Name] = *c.Value
				}
			}
		}
		return nil
	})
}

// Stamped is set in the attributes of a batch of records whose greatest timestamp is
// when the broker took it, and counts for all of them: so the embedded Kafka does what
// LogAppendTime means (embedded, stamp.go). Kafka leaves the bit unused.
const Stamped = 1 << 14
