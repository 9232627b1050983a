package flink

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"google.golang.org/protobuf/proto"

	"pulseboard/internal/conf"
	"pulseboard/pipeline"
	"pulseboard/pipeline/runners/prism"
)

// holds looks for a text as it is, and in base64, as Beam writes DoFns.
func holds(b []byte, text string) bool {
	if bytes.Contains(b, []byte(text)) {
		return true
	}
	for shift := range 3 {
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			// What its neighbours have no part in.
			coded := e.EncodeToString(append(make([]byte, shift), text...))
			if bytes.Contains(b, []byte(coded[4:len(coded)-3])) {
				return true
			}
		}
	}
	return false
}

// What is given to Flink, and to Prism, holds no password, wherever it came from:
// it goes over the network, stands on Flink's page, and in checkpoints and savepoints.
func TestJobHoldsNoSecret(t *testing.T) {
	secrets := map[string]string{
		"PULSEBOARD_REDIS":                   "rediss-sentinel://redis-user:redis-password-0123456789@s1:1,s2:2/master",
		"PULSEBOARD_REDIS_SENTINEL_PASSWORD": "sentinel-password-0123456789",
		"PULSEBOARD_KAFKA_SASL":              "SCRAM-SHA-512", "PULSEBOARD_KAFKA_USER": "kafka-user", "PULSEBOARD_KAFKA_PASSWORD": "kafka-password-0123456789",
	}
	c := Default()
	f := conf.New("test", "")
	var job pipeline.Job
	job.Config = c.Config
	job.Flags(f)
	if err := f.Parse([]string{"--kafka", "k1:9092", "--topic", "a-topic-to-be-found"}, func(name string) string { return secrets[name] }, io.Discard); err != nil {
		t.Fatal(err)
	}
	c.take(job)
	c.Worker = "/worker"
	request, err := c.job(t.Context(), pipeline.Plan{Run: "a-run-to-be-found", Start: time.Now()}, 2)
	if err != nil {
		t.Fatal(err)
	}
	flink, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	p, s := beam.NewPipelineWithRoot()
	pipeline.Build(s, c.Config, prism.Traits(1), "a-run-to-be-found", time.Now())
	edges, _, err := p.Build()
	if err != nil {
		t.Fatal(err)
	}
	env, err := graphx.CreateEnvironment(t.Context(), graphx.URNEnvExternal, func(context.Context) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	model, err := graphx.Marshal(edges, &graphx.Options{Environment: env})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := proto.Marshal(model)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"Flink": flink, "Prism": plan} {
		for _, text := range []string{"a-topic-to-be-found", "a-run-to-be-found"} {
			if !holds(b, text) {
				t.Errorf("%s: %s is not found: the test looks in the wrong place", name, text)
			}
		}
		for _, text := range []string{"redis-password-0123456789", "sentinel-password-0123456789", "kafka-password-0123456789"} {
			if holds(b, text) {
				t.Errorf("%s: %s stands in the job", name, text)
			}
		}
	}
	// The worker has the passwords from its own machine, and says so when it has not.
	o, err := readWorkerOptions(request.GetPipelineOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Kafka.Find(); err == nil {
		t.Error("a worker begins without the password of Kafka")
	}
	if err := o.Redis.Find(); err == nil {
		t.Error("a worker begins without the password of Redis")
	}
	for _, v := range append(c.Kafka.Environ(), c.Redis.Environ()...) {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	same := func(a, b any) bool { return fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b) }
	if err := errors.Join(o.Kafka.Find(), o.Redis.Find()); err != nil || !same(o.Kafka, c.Kafka) || !same(o.Redis, c.Redis) ||
		o.Redis.Password.Text.Reveal() != "redis-password-0123456789" || o.Redis.Sentinel.Text.Reveal() != "sentinel-password-0123456789" || o.Kafka.Password.Text.Reveal() != "kafka-password-0123456789" {
		t.Errorf("the worker has %#v and %#v, not %#v and %#v: %v", o.Kafka, o.Redis, c.Kafka, c.Redis, err)
	}
}
