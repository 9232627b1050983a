package ingest

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/klauspost/compress/s2"

	"pulseboard/ingest/otlp"
	"pulseboard/ingest/prometheus"
	"pulseboard/metric"
	"pulseboard/wire"
)

// TopicFormat is a topic of others whose records become events, and the format that its writers write: a value of --topic-format.
type TopicFormat struct {
	Topic string
	about string // As it was given.
	kind  *topicKind
	given url.Values
}

// topicKind is a format of records: the decoders are those of HTTP, and what a head says there is an option here.
type topicKind struct {
	name    string
	label   string // Of the metrics.
	about   string
	options []string
	// open returns what makes the decoder of each record of a topic.
	open func(s *Service, topic string, options url.Values) (func() incoming, error)
	// unpack undoes what writers do to each record besides Kafka's own compression; nil = nothing.
	unpack func(value []byte, most int64) ([]byte, *metric.Fault)
}

func topicKinds() []*topicKind {
	agent := func(name, about string, options []string, reader func(topic string, o url.Values) func(*agentBatch, []byte)) *topicKind {
		return &topicKind{name: name, label: name, about: about, options: options, open: func(s *Service, topic string, o url.Values) (func() incoming, error) {
			read := reader(topic, o)
			return func() incoming { return &agentRequest{s: s, format: name, read: read} }, nil
		}}
	}
	return []*topicKind{
		{name: "influx", label: "influx", about: "lines of InfluxDB: Telegraf with data_format \"influx\"", options: []string{"precision"}, open: openInfluxTopic},
		agent("telegraf", "Telegraf's JSON, data_format \"json\"", nil, func(string, url.Values) func(*agentBatch, []byte) { return readTelegraf }),
		{name: "prometheusremotewrite", label: "remote_write", about: "Telegraf with data_format \"prometheusremotewrite\"", open: openRemoteWriteTopic, unpack: unpackSnappy},
		otlpKind("otlp_proto", false), otlpKind("otlp_json", true),
		connectKind(),
		{name: "json", label: "json", about: "our own JSON or NDJSON, as POST /ingest has it", open: openJSONTopic},
		agent("collectd", "collectd's plugin write_kafka with Format JSON", nil, func(string, url.Values) func(*agentBatch, []byte) { return readCollectd }),
		agent("vector", "metrics of Vector's sink kafka, encoding json", nil, func(string, url.Values) func(*agentBatch, []byte) { return readVector }),
		agent("fluent-bit", "records of Fluent Bit's output kafka, format json", []string{"name", "tags"}, func(topic string, o url.Values) func(*agentBatch, []byte) {
			r := fluentBit{name: o.Get("name"), tags: strings.Split(o.Get("tags"), ",")}
			if !o.Has("name") {
				r.name = topic
			}
			return r.read
		}),
	}
}

func openInfluxTopic(s *Service, _ string, o url.Values) (func() incoming, error) {
	perMs, ms, err := precision(o.Get("precision"))
	if err != nil {
		return nil, err
	}
	decoders := newSpare(newInfluxDecoder)
	return func() incoming { return &influxRequest{s: s, decoders: decoders, perMs: perMs, ms: ms} }, nil
}

func openRemoteWriteTopic(s *Service, _ string, _ url.Values) (func() incoming, error) {
	decoders := newSpare(prometheus.NewDecoder)
	return func() incoming { return &remoteWrite{s: s, decoders: decoders} }, nil
}

func otlpKind(name string, json bool) *topicKind {
	return &topicKind{name: name, label: "otlp", about: "metrics of OpenTelemetry's Kafka exporter with encoding " + name, open: func(s *Service, _ string, _ url.Values) (func() incoming, error) {
		decoders := newSpare(otlp.NewDecoder)
		return func() incoming { return &otlpRequest{s: s, decoders: decoders, json: json} }, nil
	}}
}

func openJSONTopic(s *Service, _ string, _ url.Values) (func() incoming, error) {
	decoders := newSpare(wire.NewDecoder)
	return func() incoming { return &jsonRequest{s: s, decoders: decoders, form: guessed} }, nil
}

func unpackSnappy(value []byte, most int64) ([]byte, *metric.Fault) {
	size, err := s2.DecodedLen(value)
	var text []byte
	if err == nil && int64(size) > most {
		err = fmt.Errorf("it would have %d bytes; at most %d are read", size, most)
	}
	if err == nil {
		text, err = s2.Decode(nil, value)
	}
	if err != nil {
		return nil, &metric.Fault{Code: metric.CodeMalformed, Detail: "the record cannot be unpacked with Snappy: " + err.Error()}
	}
	return text, nil
}

// topicName is what Kafka allows as one.
const topicName = `^[a-zA-Z0-9._-]{1,249}$`

// parseTopicFormat reads TOPIC=FORMAT or TOPIC=FORMAT?OPTION=VALUE&….
func parseTopicFormat(text string) (TopicFormat, error) {
	topic, rest, ok := strings.Cut(text, "=")
	if !ok {
		return TopicFormat{}, fmt.Errorf("%.100q is no TOPIC=FORMAT, such as telegraf=influx", text)
	}
	if !regexp.MustCompile(topicName).MatchString(topic) || topic == "." || topic == ".." {
		return TopicFormat{}, fmt.Errorf("no topic of Kafka can have the name %.100q", topic)
	}
	name, query, _ := strings.Cut(rest, "?")
	kinds := topicKinds()
	i := slices.IndexFunc(kinds, func(k *topicKind) bool { return k.name == name })
	if i < 0 {
		names := make([]string, 0, len(kinds))
		for _, k := range kinds {
			names = append(names, k.name)
		}
		return TopicFormat{}, fmt.Errorf("the format %.40q of topic %s is not known: it must be one of %s", name, topic, strings.Join(names, ", "))
	}
	t := TopicFormat{Topic: topic, about: rest, kind: kinds[i]}
	var err error
	if t.given, err = url.ParseQuery(query); err != nil {
		return TopicFormat{}, fmt.Errorf("the options of topic %s cannot be read: %w", topic, err)
	}
	for option := range t.given {
		if !slices.Contains(t.kind.options, option) {
			has := "it has none"
			if len(t.kind.options) > 0 {
				has = "it has " + strings.Join(t.kind.options, ", ")
			}
			return TopicFormat{}, fmt.Errorf("the format %s of topic %s has no option %.40q: %s", name, topic, option, has)
		}
	}
	_, err = t.kind.open(nil, topic, t.given)
	if err != nil {
		err = fmt.Errorf("topic %s: %w", topic, err)
	}
	return t, err
}

// readTopicFormats reads the values of --topic-format.
func (c *Config) readTopicFormats(all []string) error {
	c.OtherTopics = nil
	for _, text := range all {
		t, err := parseTopicFormat(text)
		if err != nil {
			return fmt.Errorf("--topic-format: %w", err)
		}
		if i := slices.IndexFunc(c.OtherTopics, func(o TopicFormat) bool { return o.Topic == t.Topic }); i >= 0 {
			return fmt.Errorf("--topic-format names topic %s twice, as %s and as %s", t.Topic, c.OtherTopics[i].about, t.about)
		}
		c.OtherTopics = append(c.OtherTopics, t)
	}
	return nil
}

// topicFormatsUsage lists the formats, for the help of commands.
func topicFormatsUsage() string {
	var b strings.Builder
	b.WriteString("Formats:")
	for _, k := range topicKinds() {
		fmt.Fprintf(&b, "\n%s: %s", k.name, k.about)
		if len(k.options) > 0 {
			fmt.Fprintf(&b, "; options ?%s=…", strings.Join(k.options, "=…&"))
		}
	}
	return b.String()
}
