package deploy_test

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
)

// Each service by itself has the one port that its flag names, on loopback.
func TestServicesStayOnLoopback(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("sockets are looked up in Linux' /proc")
	}
	kafka := testenv.Kafka(t, testenv.Topic{Name: "metric-events", Partitions: 2}, testenv.Topic{Name: "metric-dead-letters", Partitions: 1})
	redis := testenv.Redis(t)
	for name, c := range map[string]struct {
		args []string
		busy string // What its metrics say when all of it is there.
	}{
		"ingest":    {[]string{"--kafka", kafka, "--addr", "127.0.0.1:0"}, `go_goroutines`},
		"gateway":   {[]string{"--redis", redis, "--addr", "127.0.0.1:0"}, `go_goroutines`},
		"configsvc": {[]string{"--redis", redis, "--database", filepath.Join(t.TempDir(), "dashboards.db"), "--addr", "127.0.0.1:0"}, `go_goroutines`},
		"pipeline":  {[]string{"--kafka", kafka, "--redis", redis, "--metrics-addr", "127.0.0.1:0"}, `pulseboard_catalog_timestamp_seconds [1-9]`},
	} {
		t.Run(name, func(t *testing.T) {
			log := new(testenv.Buffer)
			p := testenv.Start(t, log, program(t, name), c.args...)
			busy := regexp.MustCompile(`(?m)^` + c.busy)
			var all []testenv.Listener
			look := func() (err error) {
				if all, err = testenv.Listeners(p.Pid()); err != nil || len(all) == 0 {
					return fmt.Errorf("it does not listen, %w", err)
				}
				text, err := get(t.Context(), "http://"+all[0].Addr+"/metrics")
				if err == nil && !busy.MatchString(text) {
					err = fmt.Errorf("its metrics have no %s", busy)
				}
				return err
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for every := time.NewTicker(100 * time.Millisecond); ; {
				err := look()
				if err == nil {
					break
				}
				select {
				case <-every.C:
				case <-ctx.Done():
					t.Fatalf("waited too long: %v; its log: %s", err, log)
				}
			}
			if all, err := testenv.Listeners(p.Pid()); err != nil || len(all) != 1 || !all[0].OnMachine() {
				t.Errorf("it listens on %v, %v; want its own port on loopback", all, err)
			}
			testenv.NoForeignJobs(t, all)
		})
	}
}
