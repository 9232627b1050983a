package kafkaconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	franzplain "github.com/twmb/franz-go/pkg/sasl/plain"
	franzscram "github.com/twmb/franz-go/pkg/sasl/scram"

	"pulseboard/internal/clienttls"
)

// Dial opens a connection to a broker.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// Dial returns how brokers are reached, with TLS where there is some.
func (e Endpoint) Dial(timeout time.Duration) Dial {
	dialer := clienttls.Dialer{Files: e.TLS, Name: flagName, Timeout: timeout}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		// Brokers tell of each other: their addresses are not those of --kafka.
		if err := e.mayGoTo(addr); err != nil {
			return nil, err
		}
		return dialer.Dial(ctx, network, addr)
	}
}

// Transport gives t, of a client of kafka-go, the way in.
func (e Endpoint) Transport(t *kafka.Transport) *kafka.Transport {
	timeout := t.DialTimeout
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	t.Dial = e.Dial(timeout)
	if e.Mechanism != "" {
		t.SASL = login{e}
	}
	return t
}

// Options give a client of franz-go the way in.
func (e Endpoint) Options(dial Dial) []kgo.Opt {
	opts := []kgo.Opt{kgo.Dialer(dial)}
	user, pass := e.User, e.Password.Text.Reveal()
	switch e.Mechanism {
	case plainText:
		opts = append(opts, kgo.SASL(franzplain.Auth{User: user, Pass: pass}.AsMechanism()))
	case scramSHA256:
		opts = append(opts, kgo.SASL(franzscram.Auth{User: user, Pass: pass}.AsSha256Mechanism()))
	case scramSHA512:
		opts = append(opts, kgo.SASL(franzscram.Auth{User: user, Pass: pass}.AsSha512Mechanism()))
	}
	return opts
}

// Addr is what a client is given.
func (e Endpoint) Addr() net.Addr { return kafka.TCP(e.Brokers...) }

// login makes the mechanism when it is needed, so that a transport can be had without an error.
type login struct{ e Endpoint }

func (l login) Name() string { return l.e.Mechanism }

func (l login) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	m, err := l.e.mechanism()
	if err != nil {
		return nil, nil, err
	}
	return m.Start(ctx)
}

func (e *Endpoint) mechanism() (sasl.Mechanism, error) {
	algorithm := scram.SHA512
	switch e.Mechanism {
	case plainText:
		return plain.Mechanism{Username: e.User, Password: e.Password.Text.Reveal()}, nil
	case scramSHA256:
		algorithm = scram.SHA256
	}
	m, err := scram.Mechanism(algorithm, e.User, e.Password.Text.Reveal())
	if err != nil {
		// Its error may quote the password.
		return nil, errors.New("the user or the password for Kafka has characters that SCRAM does not allow (RFC 4013): choose others")
	}
	return m, nil
}

// Explain says what to do about a Kafka that cannot be used.
func (e Endpoint) Explain(err error) error {
	var fault *clienttls.Fault
	var op *net.OpError
	switch {
	case errors.As(err, &fault):
		return fmt.Errorf("cannot use Kafka at %s: %w", e, fault)
	case errors.Is(err, kafka.SASLAuthenticationFailed), errors.Is(err, kerr.SaslAuthenticationFailed):
		return fmt.Errorf("Kafka at %s does not take the password of %q: correct it in the file of --kafka-password-file or in PULSEBOARD_KAFKA_PASSWORD, or the name with --kafka-user (it may also know the user by another --kafka-sasl than %s)", e, e.User, e.Mechanism) //nolint:staticcheck // A name begins the text.
	case errors.Is(err, kafka.UnsupportedSASLMechanism), errors.Is(err, kerr.UnsupportedSaslMechanism):
		return fmt.Errorf("Kafka at %s does not know the login %s: choose another with --kafka-sasl", e, e.Mechanism) //nolint:staticcheck // A name begins the text.
	case errors.Is(err, kafka.TopicAuthorizationFailed), errors.Is(err, kafka.ClusterAuthorizationFailed),
		errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return fmt.Errorf("Kafka at %s does not allow the user %q what Pulseboard needs (docs/access.md lists it): %w", e, e.User, err) //nolint:staticcheck // A name begins the text.
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &op) && op.Op == "read" && !errors.Is(err, os.ErrDeadlineExceeded):
		if e.Mechanism != "" {
			return fmt.Errorf("Kafka at %s closes the connection at the login of %q (%w): correct the password in the file of --kafka-password-file or in PULSEBOARD_KAFKA_PASSWORD, the name with --kafka-user, or the way with --kafka-sasl and --kafka-tls", e, e.User, err) //nolint:staticcheck // A name begins the text.
		}
		return fmt.Errorf("cannot use Kafka at %s: it closes the connection at once (%w); it may ask for TLS, --kafka-tls or --kafka-ca, or for a login, --kafka-sasl, or be no Kafka", e, err)
	}
	return fmt.Errorf("cannot reach Kafka at %s: %w; start it or pass other addresses with --kafka", e, err)
}
