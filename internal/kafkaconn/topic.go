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
	const patience = 5 * time.Second
	settings, err := e.settings(ctx, topic, patience)
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
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := e.once(patience)
	if err != nil {
		return "", err
	}
	defer client.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	res, err := req.RequestWith(ctx, client)
	if err != nil {
		return "", e.Explain(err)
	}
	cluster := ""
	if res.ClusterID != nil {
		cluster = *res.ClusterID
	}
	return cluster + "/" + topic, nil
}

// once is a client for a question or two.
func (e Endpoint) once(patience time.Duration) (*kgo.Client, error) {
	return kgo.NewClient(append(e.Options(e.Dial(patience)), kgo.SeedBrokers(e.Brokers...), kgo.RequestRetries(0))...)
}

func (e Endpoint) settings(ctx context.Context, topic string, patience time.Duration) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := e.once(patience)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{cleanupPolicy, timestampType}
	req.Resources = append(req.Resources, r)
	res, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	settings := make(map[string]string)
	for _, r := range res.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return nil, err
		}
		for _, c := range r.Configs {
			if c.Value != nil {
				settings[c.Name] = *c.Value
			}
		}
	}
	return settings, nil
}
