package testenv_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/segmentio/kafka-go"

	"pulseboard/e2e/testenv"
)

// Three brokers take records when one of them is killed, and when it is back.
func TestThreeBrokersDoWithoutOne(t *testing.T) {
	testenv.NeedReal(t)
	k := testenv.StartKafka(t, 3, testenv.Topic{Name: "t", Partitions: 3})
	write := func() {
		t.Helper()
		for p := range 3 {
			limit := time.After(time.Minute)
			for {
				transport := &kafka.Transport{}
				client := &kafka.Client{Addr: kafka.TCP(k.Addrs()...), Timeout: 3 * time.Second, Transport: transport}
				res, err := client.Produce(t.Context(), &kafka.ProduceRequest{
					Topic: "t", Partition: p, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(kafka.Record{Value: kafka.NewBytes([]byte("x"))}),
				})
				transport.CloseIdleConnections()
				if err == nil && res.Error == nil {
					break
				}
				select {
				case <-limit:
					t.Fatalf("partition %d takes nothing: %v", p, err)
				case <-time.After(50 * time.Millisecond):
				}
			}
		}
	}
	write()
	k.Broker(1).Kill()
	write()
	k.Restart(1)
	write()
}

func TestPostgresAnswers(t *testing.T) {
	testenv.NeedReal(t)
	conn, err := pgx.Connect(t.Context(), testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // It only asked.
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT 1").Scan(&n); err != nil || n != 1 {
		t.Errorf("SELECT 1 is %d, %v", n, err)
	}
}
