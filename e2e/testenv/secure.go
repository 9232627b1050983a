package testenv

import (
	"crypto/tls"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Login is what SecureKafka and SecureRedis ask for.
type Login struct{ User, Password string }

// SecureKafka returns the address of a broker with these topics that speaks TLS
// only, and knows login by PLAIN and SCRAM-SHA-512.
func SecureKafka(t *testing.T, a *Authority, login Login, topics ...Topic) string {
	t.Helper()
	cert := a.Issue(t, "kafka", nil)
	if Real() {
		return startSecureKafka(t, a, cert, login, topics)
	}
	own, err := tls.LoadX509KeyPair(cert.Cert, cert.Key)
	if err != nil {
		t.Fatal(err)
	}
	options := []kfake.Opt{
		kfake.NumBrokers(1), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}), kfake.EnableSASL(),
		kfake.Superuser("SCRAM-SHA-512", login.User, login.Password), kfake.Superuser("PLAIN", login.User, login.Password),
	}
	for _, topic := range topics {
		options = append(options, kfake.SeedTopics(int32(topic.Partitions), topic.Name))
	}
	c, err := kfake.NewCluster(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()[0]
}

// SecureRedis starts a real Redis that speaks TLS only and knows login alone, with the rights of docs/access.md.
func SecureRedis(t *testing.T, a *Authority, login Login) (addr string) {
	t.Helper()
	cert := a.Issue(t, "redis", nil)
	_, addr = StartRedisWith(t, strings.Join([]string{
		"port 0", "tls-port " + RedisPort, "tls-cert-file " + cert.Cert, "tls-key-file " + cert.Key, "tls-auth-clients no",
		"user default off", "user " + login.User + " on >" + login.Password + " ~* &* +@all -@admin -@dangerous",
	}, "\n"))
	return addr
}

// What a broker with TLS and login has beside kafkaProperties; its own connections stay apart.
const secureProperties = `
listeners=PLAINTEXT://@BROKER,CONTROLLER://@CONTROLLER,SASL_SSL://@SECURE
advertised.listeners=PLAINTEXT://@BROKER,SASL_SSL://@SECURE
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_@USER="@PASSWORD";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.ssl.keystore.type=PEM
listener.name.sasl_ssl.ssl.keystore.location=@KEYSTORE
`

func startSecureKafka(t *testing.T, a *Authority, cert Certificate, login Login, topics []Topic) string {
	t.Helper()
	secure := address(Ports(t, 1))
	var store strings.Builder
	for _, path := range []string{cert.Key, cert.Cert, a.File} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		store.Write(b)
	}
	keystore := SecretFile(t, store.String())
	more := strings.NewReplacer("@SECURE", secure, "@USER", login.User, "@PASSWORD", login.Password, "@KEYSTORE", keystore).Replace(secureProperties)
	startKafka(t, 1, more, []string{"--add-scram", "SCRAM-SHA-512=[name=" + login.User + ",password=" + login.Password + "]"}, topics)
	return secure
}
