package flink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"pulseboard/internal/embedded"
	"pulseboard/pipeline/runners/flink/flinkapi"
)

// JavaConfig says how to run Flink and Beam's job server in one Java process.
type JavaConfig struct {
	Jars   string // Folder of the jars, see Find.
	Dir    string // For configuration and checkpoints.
	Slots  int
	Heap   string   // Of Java at most, as it writes it; "" = a quarter of the memory, which is Java's own choice.
	Env    []string // Of Java, and so of the workers that it starts.
	Output io.Writer
	// From is the checkpoint or savepoint that the job begins with, "" = none.
	From string
}

// javaProcess is Flink and Beam's job server in a running Java process. Its servers are on loopback and refuse clients
// without its secret.
type javaProcess struct {
	*embedded.Child

	jobServer string // host:port of Beam's job server.
	rest      string // URL of Flink's REST API.
	secret    flinkapi.Secret
}

// ErrNoJars is returned when Java or the jars are not there.
var ErrNoJars = errors.New("Flink cannot be started") //nolint:staticcheck // A name begins the text.

// jarsNeeded are what every folder of jars must have: Beam's runner, and the classes of deploy/flink.
func jarsNeeded() []string { return []string{"beam-runners-flink-*.jar", ownJar} }

// ownJar has the classes of deploy/flink.
const ownJar = "pulseboard-flink.jar"

// FindJava returns the path of java and checks the folder of jars.
func FindJava(jars string) (string, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return "", fmt.Errorf("%w: java is not on PATH; install Java 11 or 17", ErrNoJars)
	}
	for _, jar := range jarsNeeded() {
		if found, err := filepath.Glob(filepath.Join(jars, jar)); err != nil || len(found) == 0 {
			return "", fmt.Errorf("%w: %s has no %s; run make flink, which fetches and makes them", ErrNoJars, jars, jar)
		}
	}
	return java, nil
}

// Settings of Flink on one machine, with their reasons. Those of a cluster are in deploy/flink.
const localConf = `# Written at each start.
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: %[1]d
rest.bind-port: %[1]d
# All that listens by itself; the rest is kept on loopback by pulseboard.flink.OneMachine.
jobmanager.bind-host: 127.0.0.1
taskmanager.host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
# Nobody has jars to hand in.
web.submit.enable: false
taskmanager.numberOfTaskSlots: %[2]d
# A failure of anything is followed by a restart from the newest checkpoint, for ever.
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 2147483647
restart-strategy.fixed-delay.delay: 200 ms
# One that is damaged or only half deleted must not be the only one.
state.checkpoints.num-retained: 3
execution.checkpointing.dir: file://%[3]s/checkpoints
state.checkpoints.dir: file://%[3]s/checkpoints
state.savepoints.dir: file://%[3]s/savepoints
blob.storage.directory: %[3]s/blob
io.tmp.dirs: %[3]s/tmp
# A process that does not answer for this long is lost: the default of 50 s is that much of silence. Less, and a machine that is busy for some seconds
# has everything begin again, which makes it busier. One that was killed is known at once, by its connections.
heartbeat.interval: 1000
heartbeat.timeout: 20000
taskmanager.memory.network.min: 32m
taskmanager.memory.network.max: 32m
# State is on disk, and a checkpoint writes what is new; this is RocksDB's memory, of all slots.
state.backend.type: rocksdb
state.backend.incremental: true
state.backend.rocksdb.localdir: %[3]s/rocksdb
taskmanager.memory.managed.size: %[4]dm
# What a full buffer does not send goes after this; the default of 100 ms is that much of each result's delay, twice.
execution.buffer-timeout.interval: 2 ms
`

// startJava starts it and returns when it takes jobs.
func startJava(ctx context.Context, c JavaConfig) (*javaProcess, error) {
	java, err := FindJava(c.Jars)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{"conf", "checkpoints", "savepoints", "blob", "tmp", "artifacts"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o750); err != nil {
			return nil, fmt.Errorf("cannot make a folder for Flink: %w", err)
		}
	}
	// RocksDB's files of a process that has ended: its state is in the checkpoints.
	if err := os.RemoveAll(filepath.Join(dir, "rocksdb")); err != nil {
		return nil, fmt.Errorf("cannot remove what a Flink before has left: %w", err)
	}
	ports, err := freePorts(ctx, 4)
	if err != nil {
		return nil, err
	}
	secret, err := flinkapi.NewSecret(dir)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf(localConf, ports[0], c.Slots, dir, 256*c.Slots)
	if c.From != "" {
		// The option of a submission is ignored by a Flink in the job server's own process.
		text += "execution.savepoint.path: " + c.From + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "conf", "flink-conf.yaml"), []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("cannot write Flink's configuration: %w", err)
	}
	var heap []string
	if c.Heap != "" {
		heap = []string{"-Xmx" + c.Heap}
	}
	l := &javaProcess{jobServer: fmt.Sprintf("127.0.0.1:%d", ports[1]), rest: fmt.Sprintf("http://127.0.0.1:%d", ports[0]), secret: secret}
	l.Child, err = embedded.StartChild(embedded.ChildConfig{
		Name: "flink", Path: java, Output: c.Output, Dir: dir, Grace: 3 * time.Second,
		// Not an argument, which everybody can see; the workers inherit it.
		Env: slices.Concat(c.Env, []string{flinkapi.SecretVariable + "=" + string(secret)}),
		Args: append(heap,
			"--add-opens=java.base/java.net=ALL-UNNAMED", // For OneMachine.
			"-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
			"-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "-Djava.io.tmpdir="+filepath.Join(dir, "tmp"),
			"-cp", filepath.Join(c.Jars, "*"), "pulseboard.flink.OneMachine",
			"--flink-master=[local]", "--job-host=127.0.0.1", fmt.Sprintf("--job-port=%d", ports[1]), fmt.Sprintf("--artifact-port=%d", ports[2]),
			fmt.Sprintf("--expansion-port=%d", ports[3]), "--artifacts-dir="+filepath.Join(dir, "artifacts"), "--flink-conf-dir="+filepath.Join(dir, "conf"),
		),
	})
	if err != nil {
		return nil, err
	}
	if err := l.ready(ctx); err != nil {
		l.Kill()
		return nil, err
	}
	return l, nil
}

// How long Java may take to begin.
const (
	startTime = time.Minute
	pollEvery = 100 * time.Millisecond
)

func (l *javaProcess) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	var d net.Dialer
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		conn, err := d.DialContext(ctx, "tcp", l.jobServer)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-l.Done():
			return l.Err()
		case <-ctx.Done():
			return fmt.Errorf("cannot use Flink: its job server does not answer on %s: %w", l.jobServer, err)
		case <-t.C:
		}
	}
}

// freePorts takes ports together, so that they differ.
func freePorts(ctx context.Context, n int) ([]int, error) {
	var lc net.ListenConfig
	ports := make([]int, 0, n)
	for range n {
		ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close() //nolint:errcheck // It was only taken to know its port.
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
