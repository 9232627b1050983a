package load

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"pulseboard/internal/redisconn"
	"pulseboard/internal/secret"
	"pulseboard/metric"
)

// Config is what load to make, and where.
type Config struct {
	Ingest   string             // URL of ingest; needed with Rate.
	Service  string             // URL of the config service; needed to make dashboards.
	Gateways []string           // URLs of gateways; needed with Connections and with Check. Clients take them by turns.
	Redis    redisconn.Endpoint // To measure when it announces results; zero = not.
	Token    secret.Text        // With the scopes that the load needs: ingest, edit, view.
	Run      string             // Names the metrics: load.<run>.<n>.

	Rate    float64 // Events a second; 0 = none.
	Batch   int     // Events in a request.
	Metrics int
	Series  int // Of each metric.
	Tags    int // Of each event.
	Senders int // Most requests at a time.

	Connections   int // 0 = none.
	Dashboards    int
	Widgets       int // Of a dashboard.
	WindowSeconds int
	Refresh       time.Duration
	DashboardIDs  []string // Use these instead of making some.
	ConnectRate   float64  // New connections a second.
	Handshakes    int      // Most at a time.
	StopReading   int      // How many clients stop reading for the measured part.
	Reconnect     bool

	For    time.Duration // The measured part.
	Warmup time.Duration
	Check  bool // Compare counts and sums with what was acknowledged.
	// Patience is how long results that are due are waited for after the measured part when none comes; 0 = 10 s.
	Patience time.Duration
	Pids     []Pid
}

// Pid is a process whose CPU and memory are reported.
type Pid struct {
	Name string
	Pid  int
}

// ParsePid reads name=pid or pid.
func ParsePid(s string) (Pid, error) {
	name, number, named := strings.Cut(s, "=")
	if !named {
		name, number = "", s
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || named && name == "" {
		return Pid{}, fmt.Errorf("%q is no process: write name=pid or pid, such as gateway=123", s)
	}
	return Pid{name, n}, nil
}

// Limits that keep a slip of the pen from taking the machine down.
const (
	maxSeries       = 1_000_000
	maxConnections  = 1_000_000
	maxWidgets      = 200 // Of a dashboard, as the config service has it.
	maxBatch        = 50_000
	maxTags         = 16
	lateMs          = 100             // Of this process itself, at p99: else the run does not count.
	rateLimit       = 0.99            // Of the events that were due.
	afterRun        = 2 * time.Minute // The window of a check is so much longer than the run.
	filesBeside     = 64
	loopbackPortsOf = "/proc/sys/net/ipv4/ip_local_port_range"
)

// Validate returns what is wrong, in terms of the flags.
func (c *Config) Validate() error {
	switch {
	case c.Rate == 0 && c.Connections == 0:
		return errors.New("there is nothing to do: pass --rate, --connections or both")
	case c.Rate < 0 || c.Rate > 10_000_000:
		return fmt.Errorf("--rate is %v: it must be from 0 (no events) to 10,000,000 events a second", c.Rate)
	case c.Connections < 0 || c.Connections > maxConnections:
		return fmt.Errorf("--connections is %d: it must be from 0 (no streams) to %d", c.Connections, maxConnections)
	case c.For < time.Second:
		return fmt.Errorf("--for is %v: it must be at least 1s", c.For)
	case c.Warmup < 0:
		return fmt.Errorf("--warmup is %v: it must not be below 0", c.Warmup)
	case c.Run == "" || len(c.Run) > 40 || metric.ValidateName("load."+c.Run) != nil:
		return fmt.Errorf("--run is %q: it must be 1 to 40 bytes of UTF-8, none of them a control character, as it stands in metrics' names", c.Run)
	case c.Metrics < 1 || c.Series < 1 || c.Metrics*c.Series > maxSeries:
		return fmt.Errorf("--metrics is %d and --series %d: both must be at least 1, and their product at most %d", c.Metrics, c.Series, maxSeries)
	}
	for _, check := range []func() error{c.checkEvents, c.checkStreams, c.checkDashboards, c.checkAddresses} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkEvents() error {
	switch {
	case !c.Redis.IsZero() && c.Connections == 0 && !c.Check:
		return errors.New("--redis measures when results of dashboards are told: it needs --connections or --check")
	case c.Rate == 0 && c.Check:
		return errors.New("--check compares what was sent with what is shown: it needs --rate")
	case c.Rate == 0:
		return nil
	case c.Batch < 1 || c.Batch > maxBatch:
		return fmt.Errorf("--batch is %d: it must be from 1 to %d events", c.Batch, maxBatch)
	case c.Tags < 1 || c.Tags > maxTags:
		return fmt.Errorf("--tags is %d: it must be from 1 to %d", c.Tags, maxTags)
	case c.Senders < 1:
		return fmt.Errorf("--senders is %d: it must be at least 1", c.Senders)
	}
	return nil
}

func (c *Config) checkStreams() error {
	if c.Connections == 0 {
		return nil
	}
	switch {
	case c.ConnectRate <= 0:
		return fmt.Errorf("--connect-rate is %v: it must be above 0", c.ConnectRate)
	case c.Handshakes < 1:
		return fmt.Errorf("--handshakes is %d: it must be at least 1", c.Handshakes)
	case c.StopReading < 0 || c.StopReading > c.Connections:
		return fmt.Errorf("--stop-reading is %d: it must be from 0 to --connections (%d)", c.StopReading, c.Connections)
	}
	if err := c.checkFiles(); err != nil {
		return err
	}
	return c.checkPorts()
}

func (c *Config) checkFiles() error {
	var limit syscall.Rlimit
	// Go has raised the soft limit to the hard one.
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("cannot read the limit of open files: %w", err)
	}
	if need := uint64(c.Connections + c.Senders + filesBeside); need > limit.Cur {
		return fmt.Errorf("--connections is %d: that takes %d open files, but a process may have %d; raise the limit (ulimit -Hn) or share the load among several processes", c.Connections, need, limit.Cur)
	}
	return nil
}

// checkPorts compares with the source ports that Linux gives to one address of a server.
func (c *Config) checkPorts() error {
	b, err := os.ReadFile(loopbackPortsOf)
	if err != nil {
		return nil //nolint:nilerr // Other systems have no such file; there a missing port is an error of dialing.
	}
	var low, high int
	if _, err := fmt.Sscan(string(b), &low, &high); err != nil {
		return nil //nolint:nilerr // As above.
	}
	if ports := (high - low + 1) * max(1, len(c.Gateways)); c.Connections > ports {
		return fmt.Errorf("--connections is %d, but there are %d source ports for each address of a gateway: give more addresses with --gateway, or widen net.ipv4.ip_local_port_range", c.Connections, high-low+1)
	}
	return nil
}

func (c *Config) checkDashboards() error {
	if c.makesDashboards() && (c.Refresh <= 0 || c.Refresh%time.Millisecond != 0) {
		return fmt.Errorf("--refresh is %v: it must be whole milliseconds above 0, a multiple of the pipeline's slice", c.Refresh)
	}
	if c.Connections > 0 && len(c.DashboardIDs) == 0 {
		switch {
		case c.Dashboards < 1 || c.Dashboards > 100_000:
			return fmt.Errorf("--dashboards is %d: it must be from 1 to 100,000", c.Dashboards)
		case c.Widgets < 1 || c.Widgets > maxWidgets:
			return fmt.Errorf("--widgets is %d: it must be from 1 to %d", c.Widgets, maxWidgets)
		case c.WindowSeconds < 1:
			return fmt.Errorf("--window is %d: it must be at least 1 second", c.WindowSeconds)
		}
	}
	return nil
}

func (c *Config) checkAddresses() error {
	needs := []struct {
		needed    bool
		flag, why string
		urls      []string
	}{
		{c.Rate > 0, "ingest", "--rate", one(c.Ingest)},
		{c.makesDashboards(), "config", "making dashboards", one(c.Service)},
		{c.Connections > 0 || c.Check, "gateway", "--connections and --check", c.Gateways},
	}
	for _, n := range needs {
		if n.needed && len(n.urls) == 0 {
			return fmt.Errorf("%s needs an address: pass --%s, or --url for all services", n.why, n.flag)
		}
		for _, text := range n.urls {
			u, err := url.Parse(text)
			if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				return fmt.Errorf("--%s is %q: it must be a URL such as http://127.0.0.1:8080", n.flag, text)
			}
		}
	}
	return nil
}

func one(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// checkWindow is longer than all sending, so that its last window holds everything, in seconds.
func (c *Config) checkWindow() int {
	length := c.For + 2*c.Warmup + afterRun
	if c.Connections > 0 {
		length += time.Duration(float64(c.Connections) / c.ConnectRate * float64(time.Second))
	}
	return int(length.Seconds())
}

func (c *Config) makesDashboards() bool {
	return c.Check || c.Connections > 0 && len(c.DashboardIDs) == 0
}

func (c *Config) metricName(n int) string { return fmt.Sprintf("load.%s.%d", c.Run, n) }
