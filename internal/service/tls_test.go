package service

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// makePair returns a certificate for localhost of its own, and its key, in PEM.
func makePair(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

type secured struct {
	t       *testing.T
	edge    Edge
	server  *Server
	address string
}

func newSecured(t *testing.T) *secured {
	t.Helper()
	dir := t.TempDir()
	s := &secured{t: t, edge: Edge{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}}
	cert, key := makePair(t, 1)
	s.write(cert, key)
	s.server = newServer(t, ServerConfig{Edge: s.edge})
	s.server.certificate.every = time.Hour // The test looks.
	s.address = serve(t, s.server, ok())
	return s
}

func (s *secured) write(cert, key []byte) {
	s.t.Helper()
	for path, text := range map[string][]byte{s.edge.Cert: cert, s.edge.Key: key} {
		if text == nil {
			continue
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// serial is that of the certificate that a new connection gets.
func (s *secured) serial() int64 {
	s.t.Helper()
	c, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(s.t.Context(), "tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // It was only looked at.
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func (s *secured) look() {
	s.server.certificate.look()
	s.server.certificate.look()
}

// A changed certificate counts for new connections, and those that are open stay.
func TestCertificateIsReadAgain(t *testing.T) {
	s := newSecured(t)
	old, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	if !ask(t, old) {
		t.Fatal("no answer over TLS")
	}
	first := count(t, s.server.metrics.expires)
	cert, key := makePair(t, 2)
	s.write(cert, nil) // As renewals do it: one file after the other.
	s.look()
	if got := s.serial(); got != 1 {
		t.Errorf("a certificate without its key is in force: %d", got)
	}
	if count(t, s.server.metrics.failures) != 1 || count(t, s.server.metrics.unusable) != 1 {
		t.Error("what cannot be used is not told")
	}
	s.write(nil, key)
	s.server.certificate.look()
	if got := s.serial(); got != 1 {
		t.Errorf("what may be half a file is in force: %d", got)
	}
	s.server.certificate.look()
	if got := s.serial(); got != 2 {
		t.Errorf("the new certificate is not in force: %d", got)
	}
	if count(t, s.server.metrics.reloads) != 1 || count(t, s.server.metrics.unusable) != 0 || count(t, s.server.metrics.expires) < first {
		t.Error("the change is not told")
	}
	for name, broken := range map[string][]byte{"empty": {}, "half": cert[:len(cert)/2], "rubbish": []byte("x")} {
		s.write(broken, nil)
		s.look()
		if got := s.serial(); got != 2 {
			t.Errorf("%s: %d", name, got)
		}
	}
	if err := os.Remove(s.edge.Key); err != nil {
		t.Fatal(err)
	}
	s.look()
	if got := s.serial(); got != 2 {
		t.Errorf("gone: %d", got)
	}
	if !ask(t, old) {
		t.Error("a connection from before does not live on")
	}
	_ = old.Close()
}

// TLS 1.1 is refused, HTTP/2 is not spoken, and a plain request is told so.
func TestWhatTLSIsSpoken(t *testing.T) {
	s := newSecured(t)
	d := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}}
	if c, err := d.DialContext(t.Context(), "tcp", s.address); err == nil {
		t.Error("TLS 1.1 is spoken")
		_ = c.Close()
	}
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: s.server.ClientTLS()}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.address+"/", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || res.ProtoMajor != 1 || string(text) != "hello" {
		t.Errorf("%v %s %v", res.Proto, text, err)
	}
	if got := status(t, s.address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); got != http.StatusBadRequest {
		t.Errorf("plain HTTP: %d", got)
	}
}

// Clients in this process know the very certificate, also after a change, and no other.
func TestClientsOfThisProcess(t *testing.T) {
	s, other := newSecured(t), newSecured(t)
	dial := func(address string) error {
		c, err := (&tls.Dialer{Config: s.server.ClientTLS()}).DialContext(t.Context(), "tcp", address)
		if err == nil {
			err = c.Close()
		}
		return err
	}
	if err := dial(s.address); err != nil {
		t.Error(err)
	}
	if err := dial(other.address); err == nil {
		t.Error("the certificate of another server is taken")
	}
	s.write(makePair(t, 2))
	s.look()
	if err := dial(s.address); err != nil {
		t.Errorf("after a change: %v", err)
	}
}

func TestCertificatesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	good, key := makePair(t, 1)
	_, otherKey := makePair(t, 2)
	for name, text := range map[string][]byte{"cert": good, "key": key, "other": otherKey, "rubbish": []byte("x")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ cert, key, want string }{
		{"cert", "", "needs both --tls-cert and --tls-key"},
		{"", "key", "needs both --tls-cert and --tls-key"},
		{"gone", "key", "cannot read --tls-cert"},
		{"cert", "gone", "cannot read --tls-key"},
		{"cert", "other", "cannot use the certificate"},
		{"rubbish", "key", "cannot use the certificate"},
		{"cert", "rubbish", "cannot use the certificate"},
	} {
		e := Edge{}
		if c.cert != "" {
			e.Cert = filepath.Join(dir, c.cert)
		}
		if c.key != "" {
			e.Key = filepath.Join(dir, c.key)
		}
		if _, err := NewServer(ServerConfig{Edge: e}); err == nil || !strings.Contains(err.Error(), c.want) || bytes.Contains([]byte(err.Error()), key) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// The files are looked at by the server itself.
func TestServerLooksAtItsCertificate(t *testing.T) {
	dir := t.TempDir()
	s := &secured{t: t, edge: Edge{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}}
	s.write(makePair(t, 1))
	s.server = newServer(t, ServerConfig{Edge: s.edge})
	s.server.certificate.every = time.Millisecond
	s.address = serve(t, s.server, ok())
	s.write(makePair(t, 2))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for s.serial() != 2 {
		if ctx.Err() != nil {
			t.Fatal("the new certificate is not in force")
		}
	}
}
