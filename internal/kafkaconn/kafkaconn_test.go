package kafkaconn_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/conf"
	"pulseboard/internal/kafkaconn"
)

const hidden = "hunter-2-hidden"

func read(words ...string) (kafkaconn.Endpoint, error) {
	f := conf.New("test", "")
	var e kafkaconn.Endpoint
	kafkaconn.Flags(f, &e, "`brokers`", "127.0.0.1:9092")
	env := map[string]string{}
	var args []string
	for _, w := range words {
		if name, value, ok := strings.Cut(w, "="); ok && strings.HasPrefix(name, "PULSEBOARD_") {
			env[name] = value
			continue
		}
		args = append(args, w)
	}
	err := f.Parse(args, func(name string) string { return env[name] }, io.Discard)
	return e, err
}

func TestFlags(t *testing.T) {
	ca := testenv.NewAuthority(t).File
	for _, c := range []struct{ words, err string }{
		{words: ""},
		{words: "--kafka a:1,b:2 --kafka-tls"},
		{words: "--kafka a:1 --kafka-ca " + ca + " --kafka-sasl PLAIN --kafka-user u PULSEBOARD_KAFKA_PASSWORD=" + hidden},
		{words: "--kafka 127.0.0.1:1 --kafka-sasl plain --kafka-user u PULSEBOARD_KAFKA_PASSWORD=" + hidden},
		{words: "--kafka a:1 --kafka-sasl SCRAM-SHA-512 --kafka-user u --kafka-password-file " + testenv.SecretFile(t, hidden)},
		{words: "--kafka a:1 --kafka-sasl PLAIN --kafka-user u PULSEBOARD_KAFKA_PASSWORD=" + hidden, err: "in clear text: add --kafka-tls"},
		{words: "--kafka a:1 --kafka-user u PULSEBOARD_KAFKA_PASSWORD=" + hidden, err: "no --kafka-sasl"},
		{words: "--kafka a:1 --kafka-sasl GSSAPI --kafka-user u PULSEBOARD_KAFKA_PASSWORD=" + hidden, err: "--kafka-sasl is"},
		{words: "--kafka a:1 --kafka-sasl SCRAM-SHA-256 --kafka-user u", err: "--kafka-password-file"},
		{words: "--kafka a:1 --kafka-sasl SCRAM-SHA-256 --kafka-user u PULSEBOARD_KAFKA_PASSWORD=\u0007" + hidden, err: "RFC 4013"},
		{words: "--kafka u:" + hidden + "@a:1", err: "must be addresses of brokers"},
		{words: "PULSEBOARD_KAFKA=SASL_SSL://u:" + hidden + "@a:1", err: "must be addresses of brokers"},
		{words: "--kafka SASL_SSL://u:" + hidden + "@a:1", err: "--kafka holds a password"},
		{words: "--kafka a:1 --kafka-password " + hidden, err: "--kafka-password-file"},
	} {
		e, err := read(strings.Fields(c.words)...)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), hidden) {
				t.Errorf("%s: %v, want %s", c.words, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.words, err)
			continue
		}
		type shut struct{ kafka kafkaconn.Endpoint }
		b, err := json.Marshal(e)
		if out := fmt.Sprintf("%v %+v %#v %+v %s %v", e, e, e, shut{e}, b, e.Arguments()); err != nil || strings.Contains(out, hidden) {
			t.Errorf("%s prints as %s %v", c.words, out, err)
		}
		child, err := read(append(e.Arguments(), e.Environ()...)...)
		if err != nil || child.String() != e.String() || child.Password.Text.Reveal() != e.Password.Text.Reveal() || child.TLS != e.TLS || child.User != e.User || child.Mechanism != e.Mechanism {
			t.Errorf("%s: the child has %#v, not %#v: %v", c.words, child, e, err)
		}
	}
}

func broker(t *testing.T, cert *testenv.Certificate, opts ...kfake.Opt) string {
	t.Helper()
	if cert != nil {
		own, err := tls.LoadX509KeyPair(cert.Cert, cert.Key)
		if err != nil {
			t.Fatal(err)
		}
		opts = append(opts, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}))
	}
	c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1), kfake.SeedTopics(1, "topic"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()[0]
}

func try(t *testing.T, patience time.Duration, words ...string) string {
	t.Helper()
	e, err := read(words...)
	if err != nil {
		return err.Error()
	}
	transport := e.Transport(&kafka.Transport{DialTimeout: patience})
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: e.Addr(), Timeout: time.Minute, Transport: transport}
	m, err := client.Metadata(t.Context(), &kafka.MetadataRequest{Topics: []string{"topic"}})
	if err != nil {
		return e.Explain(err).Error()
	}
	if len(m.Topics) != 1 || len(m.Topics[0].Partitions) != 1 {
		return fmt.Sprint(m)
	}
	// A connection to the broker itself, by the address that it tells.
	_, err = client.ListOffsets(t.Context(), &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{"topic": {kafka.LastOffsetOf(0)}}})
	if err != nil {
		return e.Explain(err).Error()
	}
	return "ok"
}

// Each way in works, and each mistake is one sentence that names the flag.
func TestWaysIn(t *testing.T) {
	authority, stranger := testenv.NewAuthority(t), testenv.NewAuthority(t)
	good, old := authority.Issue(t, "server", nil), authority.Issue(t, "expired", testenv.Expired)
	misnamed := authority.Issue(t, "misnamed", testenv.OtherName)
	users := []kfake.Opt{
		kfake.EnableSASL(), kfake.Superuser("PLAIN", "plain", hidden), kfake.Superuser("SCRAM-SHA-256", "s256", hidden), kfake.Superuser("SCRAM-SHA-512", "s512", hidden),
	}
	open, secured, login, both := broker(t, nil), broker(t, &good), broker(t, nil, users...), broker(t, &good, users...)
	expired, otherName := broker(t, &old), broker(t, &misnamed)
	password, wrong := "PULSEBOARD_KAFKA_PASSWORD="+hidden, "PULSEBOARD_KAFKA_PASSWORD=wrong-"+hidden
	as := func(addr, mechanism, user, password string, more ...string) []string {
		return append(more, "--kafka", addr, "--kafka-sasl", mechanism, "--kafka-user", user, password)
	}
	ca := []string{"--kafka-ca", authority.File}
	for _, c := range []struct {
		name  string
		words []string
		want  string
	}{
		{"open", []string{"--kafka", open}, "ok"},
		{"TLS", append(ca, "--kafka", secured), "ok"},
		{"SCRAM without TLS", as(login, "SCRAM-SHA-256", "s256", password), "ok"},
		{"PLAIN", as(both, "PLAIN", "plain", password, ca...), "ok"},
		{"SCRAM-SHA-256", as(both, "SCRAM-SHA-256", "s256", password, ca...), "ok"},
		{"SCRAM-SHA-512", as(both, "SCRAM-SHA-512", "s512", password, ca...), "ok"},

		{"wrong password, PLAIN", as(both, "PLAIN", "plain", wrong, ca...), "--kafka-password-file"},
		{"wrong password, SCRAM", as(both, "SCRAM-SHA-512", "s512", wrong, ca...), "--kafka-password-file"},
		{"wrong user", as(both, "SCRAM-SHA-256", "nobody", password, ca...), "--kafka-user"},
		{"no login", append(ca, "--kafka", both), "--kafka-sasl"},
		{"no TLS", []string{"--kafka", secured}, "--kafka-tls"},
		{"TLS to one without", append(ca, "--kafka", open), "does not answer in TLS"},
		{"unknown authority", []string{"--kafka", secured, "--kafka-tls"}, "--kafka-ca"},
		{"wrong authority", []string{"--kafka", secured, "--kafka-ca", stranger.File}, "--kafka-ca"},
		{"expired", append(ca, "--kafka", expired), "renew it, or set the clock right"},
		{"another name", append(ca, "--kafka", otherName), "is not for that name"},
		{"nobody there", []string{"--kafka", "127.0.0.1:1"}, "start it or pass other addresses with --kafka"},
	} {
		patience := time.Minute
		if c.want == "does not answer in TLS" {
			patience = time.Second // It waits for more for ever.
		}
		got := try(t, patience, c.words...)
		if !strings.Contains(got, c.want) || strings.Contains(got, hidden) || strings.Contains(got, "\n") {
			t.Errorf("%s: %s; want %s", c.name, got, c.want)
		}
		if c.want != "ok" {
			t.Logf("%s: %s", c.name, got)
		}
	}
}
