package kafkaconn_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/kafkaconn"
)

// A topic that Kafka compacts is refused, one with the clocks of producers told of,
// both with the way out.
func TestTopicsAreChecked(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	for i, c := range []struct {
		configs        map[string]string
		refused, warns string
	}{
		{configs: map[string]string{"message.timestamp.type": "LogAppendTime"}},
		{warns: "--add-config message.timestamp.type=LogAppendTime"},
		{configs: map[string]string{"cleanup.policy": "compact"}, refused: "--add-config cleanup.policy=delete"},
		{configs: map[string]string{"cleanup.policy": "compact,delete"}, refused: "--add-config cleanup.policy=delete"},
	} {
		topic := "topic" + string(rune('a'+i))
		if err := cluster.CreateTopic(topic, 1, c.configs); err != nil {
			t.Fatal(err)
		}
		log := new(testenv.Buffer)
		err := kafkaconn.At(cluster.ListenAddrs()...).CheckTopic(t.Context(), topic, slog.New(slog.NewTextHandler(log, nil)))
		if (err != nil) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%v: %v, want %q", c.configs, err, c.refused)
		}
		if got := log.String(); (got != "") != (c.warns != "") || !strings.Contains(got, c.warns) {
			t.Errorf("%v: says %q, want %q", c.configs, got, c.warns)
		}
	}
	if err := kafkaconn.At(cluster.ListenAddrs()...).CheckTopic(t.Context(), "none", slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("a topic that is not there: %v", err)
	}
}
