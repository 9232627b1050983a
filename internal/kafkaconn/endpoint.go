// Package kafkaconn is where Kafka is and how one gets in, the same for all
// that speak to it.
package kafkaconn

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"

	"pulseboard/internal/clienttls"
	"pulseboard/internal/conf"
)

// Endpoint is a Kafka cluster. However it is printed, logged or encoded, its
// password is not in it, see redisconn.Endpoint.
type Endpoint struct {
	Brokers   []string        `json:"brokers,omitempty"` // host:port.
	Mechanism string          `json:"sasl,omitempty"`    // One of mechanisms; "" = no login.
	User      string          `json:"user,omitempty"`
	Password  conf.Secret     `json:"password,omitzero"`
	TLS       clienttls.Files `json:"tls,omitzero"`
}

// mechanisms of SASL, the safest first.
const (
	scramSHA512 = "SCRAM-SHA-512"
	scramSHA256 = "SCRAM-SHA-256"
	plainText   = "PLAIN"
)

// Names of flags.
const (
	flagName     = "kafka"
	passwordFlag = "kafka-password"
)

// At is the Kafka at these addresses that asks for nothing, such as one of our own.
func At(brokers ...string) Endpoint { return Endpoint{Brokers: brokers} }

// IsZero reports whether none is named.
func (e Endpoint) IsZero() bool { return len(e.Brokers) == 0 }

// String is the addresses of the brokers.
func (e Endpoint) String() string { return strings.Join(e.Brokers, ",") }

// LogValue implements slog.LogValuer.
func (e Endpoint) LogValue() slog.Value { return slog.StringValue(e.String()) }

// Flags defines --kafka, with its default, and what a Kafka asks for that is not
// open to everybody. about is the usage of --kafka.
func Flags(f *conf.Flags, e *Endpoint, about string, brokers ...string) {
	e.Brokers = brokers
	f.Var((*conf.List)(&e.Brokers), flagName, about)
	tls := f.Bool("kafka-tls", false, "speak TLS to Kafka; --kafka-ca and --kafka-cert mean it too")
	clienttls.Flags(f, &e.TLS, flagName, "Kafka")
	f.StringVar(&e.Mechanism, "kafka-sasl", "", "`mechanism` to log in to Kafka with: SCRAM-SHA-512, SCRAM-SHA-256, or PLAIN, which needs TLS; empty = no login")
	f.StringVar(&e.User, "kafka-user", "", "`name` to log in to Kafka with")
	f.Secret(&e.Password, passwordFlag, "the password to log in to Kafka with")
	f.Check(func() error {
		e.TLS.On = *tls || e.TLS.Named()
		if e.IsZero() {
			return nil
		}
		return e.check()
	})
}

func (e *Endpoint) check() error {
	for _, b := range e.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil || strings.ContainsAny(b, "@/ ") {
			// It is not quoted: it may hold a password.
			return errors.New("--kafka must be addresses of brokers, host:port, separated by commas: TLS is --kafka-tls, a login --kafka-sasl, --kafka-user and --kafka-password-file")
		}
	}
	e.Mechanism = strings.ToUpper(e.Mechanism)
	set := e.Password.Text.IsSet()
	switch {
	case e.Mechanism == "" && (e.User != "" || set):
		return errors.New("there is a user or password for Kafka and no --kafka-sasl: name the mechanism, SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN")
	case e.Mechanism == "":
		return e.TLS.Check(flagName)
	case !slices.Contains([]string{scramSHA512, scramSHA256, plainText}, e.Mechanism):
		return fmt.Errorf("--kafka-sasl is %q: it must be SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN", e.Mechanism)
	case e.User == "" || !set:
		return errors.New("--kafka-sasl needs --kafka-user, and --kafka-password-file or PULSEBOARD_KAFKA_PASSWORD")
	}
	for _, b := range e.Brokers {
		if err := e.mayGoTo(b); err != nil {
			return err
		}
	}
	if _, err := e.mechanism(); err != nil {
		return err
	}
	return e.TLS.Check(flagName)
}

// mayGoTo refuses to send a password over a wire in clear text.
func (e *Endpoint) mayGoTo(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || e.Mechanism != plainText || e.TLS.On || conf.IsLoopback(host) {
		return err
	}
	return fmt.Errorf("--kafka-sasl is PLAIN, which would send the password to %s in clear text: add --kafka-tls (and --kafka-ca for an authority of your own), or use SCRAM-SHA-512", addr)
}

// Environ is the environment of a process that is given Arguments.
func (e Endpoint) Environ() []string {
	if !e.Password.Text.IsSet() || e.Password.File != "" {
		return nil
	}
	return []string{conf.EnvName(passwordFlag) + "=" + e.Password.Text.Reveal()}
}

// Arguments are the flags of a process of ours that is to use the same Kafka. They
// hold no password: one that stands in no file goes by Environ.
func (e Endpoint) Arguments() []string {
	args := []string{"--" + flagName, e.String()}
	if e.TLS.On {
		args = append(args, "--kafka-tls")
	}
	for _, a := range [][2]string{
		{flagName + "-ca", e.TLS.CA},
		{flagName + "-cert", e.TLS.Cert},
		{flagName + "-key", e.TLS.Key},
		{"kafka-sasl", e.Mechanism},
		{"kafka-user", e.User},
		{passwordFlag + "-file", e.Password.File},
	} {
		if a[1] != "" {
			args = append(args, "--"+a[0], a[1])
		}
	}
	return args
}

// Find gets the password in a process that got the Endpoint by JSON: from the
// file that it names, on this machine, else from the environment.
func (e *Endpoint) Find() error {
	if err := e.Password.Find(passwordFlag, os.Getenv); err != nil {
		return err
	}
	if e.Mechanism != "" && !e.Password.Text.IsSet() {
		//nolint:staticcheck // A name begins the text.
		return fmt.Errorf("Kafka at %s asks for a password, which this process does not have: set PULSEBOARD_KAFKA_PASSWORD where it runs, "+
			"or submit the job with --kafka-password-file and the path of a file that is there", e)
	}
	return nil
}
