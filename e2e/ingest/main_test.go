package ingest_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"pulseboard/internal/embedded"
)

// The test's own program is also the broker and the client that it kills.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		var err error
		switch os.Args[1] {
		case "broker":
			err = runBroker(os.Args[2], os.Args[3])
		case "client":
			err = runClient(os.Args[2], os.Args[3])
		default:
			os.Exit(m.Run()) //nolint:forbidigo // It is main.
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:forbidigo // It is main.
		}
		return
	}
	os.Exit(m.Run()) //nolint:forbidigo // It is main.
}

// runBroker is the embedded Kafka until it is killed.
func runBroker(dir, addr string) error {
	k, err := embedded.StartKafka(context.Background(), embedded.KafkaConfig{Dir: dir, Addr: addr, Topic: topic, Partitions: partitions, Log: slog.Default()})
	if err != nil {
		return err
	}
	defer k.Close()
	select {}
}
