package ingest

import (
	"fmt"

	"pulseboard/internal/conf"
)

// Flags defines what senders and their formats need, for every command that takes events.
func Flags(f *conf.Flags, c *Config) {
	f.Func("tags-over-limits", "what becomes of events with more or longer tags than the limits: `refuse` or cut, to tags that fit and end in a hash of what is missing", func(s string) error {
		if s != "refuse" && s != "cut" {
			return fmt.Errorf("it must be refuse or cut")
		}
		c.CutTags = s == "cut"
		return nil
	})
	f.Func("influx-strings", "what becomes of the fields of InfluxDB's lines that are strings: `drop` passes them over, as most senders cannot leave them out, refuse is a fault", func(s string) error {
		if s != "drop" && s != "refuse" {
			return fmt.Errorf("it must be drop or refuse")
		}
		c.RefuseStrings = s == "refuse"
		return nil
	})
	c.StatsD.Flags(f)
	f.StringVar(&c.OTLPAddr, "otlp-grpc", "", "`host:port` to take OpenTelemetry's metrics on over gRPC, such as 127.0.0.1:4317, with the tokens and the certificate of --addr; empty = none (they are taken over HTTP)")
	topics := &conf.Repeated{Spaces: true}
	f.Var(topics, "topic-format", "a topic of others in the same Kafka whose records become events, and what is written to it: `TOPIC=FORMAT`, such as telegraf=influx; may be given several times, or be several of them with spaces between. "+topicFormatsUsage())
	f.Check(func() error { return c.readTopicFormats(topics.List) })
	f.Var((*conf.List)(&c.OTLPAttributes), "otlp-attributes", "attributes of OpenTelemetry's resources and scopes that become tags besides those of docs/ingest.md: `names`, separated by commas")
}
