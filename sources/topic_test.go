package sources

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/kafkaconn"
)

// A topic that is not there yet is waited for, with a line that says so.
func TestTheTopicIsAwaited(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	log := new(testenv.Buffer)
	done := make(chan error, 1)
	go func() {
		done <- AwaitTopic(t.Context(), kafkaconn.At(cluster.ListenAddrs()...), "later", slog.New(slog.NewTextHandler(log, nil)))
	}()
	for !strings.Contains(log.String(), "not there yet") {
		select {
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		case <-t.Context().Done():
			t.Fatal("nothing was said")
		default:
		}
	}
	if err := cluster.CreateTopic("later", 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
