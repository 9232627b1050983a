package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates of a test.
type Authority struct {
	File string // Of its own certificate, PEM.

	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Certificate is the files of one, PEM.
type Certificate struct{ Cert, Key string }

// NewAuthority makes one.
func NewAuthority(t *testing.T) *Authority {
	t.Helper()
	a := &Authority{dir: t.TempDir()}
	a.cert = template("authority")
	a.cert.IsCA, a.cert.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
	made := a.make(t, "authority", a.cert)
	a.File = made.Cert
	return a
}

// Issue makes a certificate for 127.0.0.1, a server's and a client's, with what change changes.
func (a *Authority) Issue(t *testing.T, name string, change func(*x509.Certificate)) Certificate {
	t.Helper()
	c := template(name)
	c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	if change != nil {
		change(c)
	}
	return a.make(t, name, c)
}

// Expired is a change for Issue.
func Expired(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }

// OtherName is a change for Issue.
func OtherName(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"other.example.org"} }

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62)) // It does not fail.
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

func (a *Authority) make(t *testing.T, name string, c *x509.Certificate) Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if a.key == nil {
		a.key = key // Its own, signed by itself.
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := Certificate{filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key")}
	write(t, files.Cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, files.Key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return files
}

// SecretFile writes a file that holds a secret, and returns its path.
func SecretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
