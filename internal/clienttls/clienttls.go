// Package clienttls opens connections with TLS to the servers that we are a
// client of, and says in one sentence what is wrong with a certificate.
package clienttls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pulseboard/internal/conf"
)

// Files says whether there is TLS, and names its files. Their paths are no secret.
type Files struct {
	On   bool   `json:"on,omitempty"`
	CA   string `json:"ca,omitempty"`   // Certificates of the authorities that are trusted; "" = those of the system.
	Cert string `json:"cert,omitempty"` // Our own, for servers that ask for one.
	Key  string `json:"key,omitempty"`
}

// Flags defines --NAME-ca, --NAME-cert and --NAME-key.
func Flags(f *conf.Flags, t *Files, name, server string) {
	f.StringVar(&t.CA, name+"-ca", "", "`file` of the authority that signed the certificate of "+server+", PEM; it means TLS. Empty = those that the system trusts")
	f.StringVar(&t.Cert, name+"-cert", "", "`file` of our own certificate, PEM, where "+server+" asks for one; it means TLS")
	f.StringVar(&t.Key, name+"-key", "", "`file` of the key of --"+name+"-cert, PEM")
}

// Named reports whether any file is named.
func (t Files) Named() bool { return t.CA != "" || t.Cert != "" || t.Key != "" }

// Check reads the files, so that a fault of theirs is told at the start, and makes
// their paths absolute: another process may have another folder.
func (t *Files) Check(name string) error {
	if (t.Cert == "") != (t.Key == "") {
		return fmt.Errorf("--%[1]s-cert and --%[1]s-key go together: name both or none", name)
	}
	for _, path := range []*string{&t.CA, &t.Cert, &t.Key} {
		if *path != "" {
			var err error
			if *path, err = filepath.Abs(*path); err != nil {
				return err
			}
		}
	}
	_, err := t.config(name)
	return err
}

func (t *Files) config(name string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("cannot read the file of --%s-ca: %w", name, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the file of --%s-ca, %s, has no certificate in PEM", name, t.CA)
		}
	}
	if t.Cert != "" {
		own, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("cannot use the files of --%[1]s-cert and --%[1]s-key: %[2]w", name, err)
		}
		c.Certificates = []tls.Certificate{own}
	}
	return c, nil
}

// Dialer opens connections.
type Dialer struct {
	Files   Files
	Name    string // Of the flags: redis for --redis-ca.
	Timeout time.Duration
}

// Dial connects, with TLS if there is some. The files are read each time: a
// certificate that was renewed counts for the next connection.
func (d Dialer) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil || !d.Files.On {
		return conn, err
	}
	c, err := d.Files.config(d.Name)
	if err != nil {
		_ = conn.Close() // Nothing was said over it.
		return nil, err
	}
	if c.ServerName, _, err = net.SplitHostPort(addr); err != nil {
		_ = conn.Close()
		return nil, err
	}
	secured := tls.Client(conn, c)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, d.explain(addr, err)
	}
	return &explained{secured, d, addr}, nil
}

// explained is a connection whose errors say what a server had against our
// certificate: with TLS 1.3 it says so after the handshake.
type explained struct {
	*tls.Conn

	dialer Dialer
	addr   string
}

func (c *explained) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && isAlert(err) {
		err = c.dialer.explain(c.addr, err)
	}
	return n, err
}

func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// Fault is what is wrong between us and a server, in a sentence for whoever set it
// up. It wraps nothing: go-redis would pass on the innermost error in its place.
type Fault struct{ text string }

func (f *Fault) Error() string { return f.text }

// explain names the flag.
func (d Dialer) explain(addr string, err error) error {
	say := func(format string, args ...any) error { return &Fault{fmt.Sprintf(format, args...)} }
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return say("the certificate of %s is good from %s to %s, and not now: renew it, or set the clock right", addr,
			invalid.Cert.NotBefore.UTC().Format(time.DateTime), invalid.Cert.NotAfter.UTC().Format(time.DateTime))
	case errors.As(err, &unknown):
		return say("the certificate of %s is signed by nobody who is trusted: name the file of its authority with --%s-ca", addr, d.Name)
	case errors.As(err, &host):
		return say("the certificate of %s is not for that name (%v): use one of its names in --%s, or have a certificate made with this one", addr, host, d.Name)
	case errors.As(err, &record), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return say("%s does not speak TLS: use the port where it does, or leave TLS out of --%s", addr, d.Name)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return say("%s does not answer in TLS within %v: is that the port where it does?", addr, d.Timeout)
	case isAlert(err) && strings.Contains(err.Error(), "certificate required"), isAlert(err) && d.Files.Cert == "":
		return say("%s asks for a certificate of ours (%v): name it with --%[3]s-cert and --%[3]s-key", addr, err, d.Name)
	case isAlert(err):
		return say("%s does not take the certificate of --%s-cert (%v): it must be signed by an authority that the server trusts, and still be good", addr, d.Name, err)
	}
	return fmt.Errorf("cannot agree on TLS with %s: %w", addr, err)
}
