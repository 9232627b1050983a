package flinkapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

// Secret is a bearer token of the servers of a Flink of one machine, which keeps other users of the machine from
// submitting jobs and from posing as workers. It is new at each start. As
// credentials.PerRPCCredentials it goes with each call of gRPC. "" = none.
type Secret string

// SecretVariable is the environment variable of Java and of the workers that has it.
const SecretVariable = "PULSEBOARD_FLINK_SECRET"

// SecretOfEnvironment returns that of the Flink that has started this process, or that an operator has set.
func SecretOfEnvironment() Secret { return Secret(os.Getenv(SecretVariable)) }

// NewSecret makes one, and leaves it in a file too, for operators who ask the REST API by hand.
func NewSecret(dir string) (Secret, error) {
	s := rand.Text()
	path := secretFile(dir)
	// Not the mode that an older file has.
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return "", fmt.Errorf("cannot replace Flink's secret: %w", err)
	}
	if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
		return "", fmt.Errorf("cannot write Flink's secret: %w", err)
	}
	return Secret(s), nil
}

// SecretIn returns the secret of the Flink in a folder, "" when there is none.
func SecretIn(dir string) Secret {
	b, err := os.ReadFile(secretFile(dir))
	if err != nil {
		return ""
	}
	return Secret(b)
}

func secretFile(dir string) string { return filepath.Join(dir, "conf", "secret") }

func (s Secret) bearer() string { return "Bearer " + string(s) }

// String keeps it out of logs.
func (s Secret) String() string { return "(secret)" }

// GetRequestMetadata is for gRPC.
func (s Secret) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	if s == "" {
		return nil, nil
	}
	return map[string]string{"authorization": s.bearer()}, nil
}

// RequireTransportSecurity is for gRPC: it does not leave the machine.
func (Secret) RequireTransportSecurity() bool { return false }

// transport sends the secret with each request of HTTP.
type transport struct{ secret Secret }

// RoundTrip is http.RoundTripper's.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.secret != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", t.secret.bearer())
	}
	return http.DefaultTransport.RoundTrip(r)
}
