package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"pulseboard/internal/service"
)

// At the end a request that waits for Kafka is waited for until it has its answer.
func TestRequestsAreDrainedUntilTheirTimeout(t *testing.T) {
	for _, args := range []string{"", "--delivery-timeout 300ms", "--delivery-timeout 45s"} {
		o, err := parse(service.Env{Args: strings.Fields(args), Getenv: func(string) string { return "" }, Stdout: io.Discard})
		if err != nil || o.config.DeliveryTimeout == 0 || o.host.Drain < o.config.DeliveryTimeout+time.Second {
			t.Errorf("%q: drained for %v, and a request waits for %v; %v", args, o.host.Drain, o.config.DeliveryTimeout, err)
		}
	}
}
