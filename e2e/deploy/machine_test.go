package deploy_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/embedded"
)

// machine is this one in place of the containers: each address of compose.yaml
// and of its files becomes a free port of loopback, each folder one of the test.
type machine struct {
	t       *testing.T
	compose compose
	dir     string
	names   *regexp.Regexp // Of services, with a port.
	bare    *regexp.Regexp // Without.
	ports   map[string]int // By "instance:port".
	running map[string]*embedded.Child
	logs    map[string]*testenv.Buffer
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	if err := programs(); err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, compose: readCompose(t), dir: t.TempDir(), ports: map[string]int{}, running: map[string]*embedded.Child{}, logs: map[string]*testenv.Buffer{}}
	names := sorted(m.compose.Services)
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	all := strings.Join(names, "|")
	m.names = regexp.MustCompile(`(^|[^\w.-])(` + all + `|0\.0\.0\.0|127\.0\.0\.1):(\d+)\b`)
	m.bare = regexp.MustCompile(`(?m)((?:host|address)(?:=|: ))(` + all + `|0\.0\.0\.0)$`)
	m.workerPorts()
	m.secrets()
	t.Cleanup(func() {
		for _, p := range m.running {
			p.Kill()
		}
		if t.Failed() {
			for _, name := range sorted(m.logs) {
				t.Logf("the end of the log of %s:\n%s", name, testenv.Page(m.logs[name].String()))
			}
			workers, _ := filepath.Glob(filepath.Join(m.dir, "log", "*")) // The pattern is right.
			for _, w := range workers {
				b, _ := os.ReadFile(w)
				t.Logf("the beginning of %s:\n%s", filepath.Base(w), testenv.Page(string(b[:min(3000, len(b))])))
			}
		}
	})
	return m
}

// port returns the one that stands for a port of a container.
func (m *machine) port(instance, port string) int {
	m.t.Helper()
	id := instance + ":" + port
	if m.ports[id] == 0 {
		m.ports[id] = m.free(1)
	}
	return m.ports[id]
}

func (m *machine) addr(instance, port string) string {
	return fmt.Sprintf("127.0.0.1:%d", m.port(instance, port))
}

// free returns the first of n ports in a row that nobody has.
func (m *machine) free(n int) int {
	m.t.Helper()
	taken := slices.Collect(maps.Values(m.ports))
	for range 1000 {
		first := testenv.Ports(m.t, n)
		if !slices.ContainsFunc(taken, func(p int) bool { return p >= first && p < first+n }) {
			return first
		}
	}
	m.t.Fatalf("there are no %d ports in a row that no service has", n)
	return 0
}

// Ports that stand alone: of flags, of Flink's settings and of nginx.
var (
	portFlag    = regexp.MustCompile(`(--[\w-]*port=)(\d+)$`)
	portSetting = regexp.MustCompile(`(?m)^([\w.]+\.port: )(\d+)(-\d+)?$`)
	portListen  = regexp.MustCompile(`(\blisten )(\d+);`)
	portWord    = regexp.MustCompile(`^\d+$`)
)

// here translates a text of a service, such as an argument or a file.
func (m *machine) here(name, instance, text string) string {
	m.t.Helper()
	text = m.folders(name, instance, text)
	text = replace(m.names, text, func(g []string) string {
		at := g[2]
		if strings.HasPrefix(at, "0.") || strings.HasPrefix(at, "127.") {
			at = instance
		}
		return g[1] + m.addr(at, g[3])
	})
	text = replace(portFlag, text, func(g []string) string { return g[1] + fmt.Sprint(m.port(instance, g[2])) })
	text = replace(portSetting, text, func(g []string) string {
		at := "jobmanager" // Whose address it is in every process of Flink.
		if strings.HasPrefix(g[1], "metrics.") {
			at = instance
		}
		return g[1] + fmt.Sprint(m.port(at, g[2]))
	})
	text = replace(portListen, text, func(g []string) string { return g[1] + m.addr(instance, g[2]) + ";" })
	return m.bare.ReplaceAllString(text, "${1}127.0.0.1")
}

func replace(re *regexp.Regexp, text string, with func(groups []string) string) string {
	return re.ReplaceAllStringFunc(text, func(s string) string { return with(re.FindStringSubmatch(s)) })
}

// folders translates container paths.
func (m *machine) folders(name, instance, text string) string {
	m.t.Helper()
	at := map[string]string{"/opt/pulseboard/bin": made, "/var/log/pulseboard": m.folder("log"), "/tmp": m.folder("tmp", instance), secretsFolder: m.folder("secrets")}
	for target, source := range m.compose.Services[name].mounts(m.t) {
		at[target] = m.folder("volumes", source)
		if source == "" {
			at[target] = m.folder("own", instance, target)
		}
		if strings.HasPrefix(source, ".") {
			at[target] = filepath.Join(m.dir, "files", instance, target)
		}
	}
	var all []string
	for _, target := range slices.Backward(sorted(at)) { // A folder after those in it.
		all = append(all, regexp.QuoteMeta(target))
	}
	return replace(regexp.MustCompile(`(^|[^\w])(`+strings.Join(all, "|")+`)\b`), text, func(g []string) string { return g[1] + at[g[2]] })
}

// secretText is what the secrets of the test are.
func secretText(name string) string { return name + "-of-the-test" }

// secrets writes all of them, once: a process that has just started reads its own.
func (m *machine) secrets() {
	m.t.Helper()
	dir := m.folder("secrets")
	for name := range m.compose.Secrets {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(secretText(name)+"\n"), 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *machine) folder(elem ...string) string {
	m.t.Helper()
	dir := filepath.Join(append([]string{m.dir}, elem...)...)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		m.t.Fatal(err)
	}
	return dir
}

// write puts a file where the container sees it, translated.
func (m *machine) write(instance, target, text string) string {
	m.t.Helper()
	file := filepath.Join(m.dir, "files", instance, target)
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return file
}

// files writes those that compose.yaml mounts into a container.
func (m *machine) files(name, instance string, more func(text string) string) {
	m.t.Helper()
	for target, source := range m.compose.Services[name].mounts(m.t) {
		if strings.HasPrefix(source, ".") {
			m.write(instance, target, more(m.here(name, instance, read(m.t, "deploy", source))))
		}
	}
}

// start starts a container of a service: instance is its name, with a number when there are several.
func (m *machine) start(name, instance, path string, args []string, env ...string) {
	m.t.Helper()
	c := embedded.ChildConfig{Name: instance, Path: path, Dir: m.folder("tmp", instance), Output: m.log(instance), Env: append(os.Environ(), env...)}
	for i, a := range args {
		if i > 0 && args[i-1] == "--port" && portWord.MatchString(a) {
			a = fmt.Sprint(m.port(instance, a))
		}
		c.Args = append(c.Args, m.here(name, instance, a))
	}
	m.run(instance, c)
}

func (m *machine) log(instance string) *testenv.Buffer {
	if m.logs[instance] == nil {
		m.logs[instance] = new(testenv.Buffer)
	}
	return m.logs[instance]
}

func (m *machine) run(instance string, c embedded.ChildConfig) {
	m.t.Helper()
	child, err := embedded.StartChild(c)
	if err != nil {
		m.t.Fatal(err)
	}
	m.running[instance] = child
}

func (m *machine) kill(instance string) {
	m.running[instance].Kill()
	delete(m.running, instance) // until looks at what should run.
}

// How long anything may take on a busy machine.
const patience = 3 * time.Minute

// until repeats a check until it holds. No container may end meanwhile.
func (m *machine) until(what string, ok func(context.Context) error) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	began := time.Now()
	for last := error(nil); ; {
		err := ok(ctx)
		if err == nil {
			if waited := time.Since(began); waited > time.Second {
				m.t.Logf("%5.1f s for %s", waited.Seconds(), what)
			}
			return
		}
		if ctx.Err() == nil {
			last = err // The other would only say that time is up.
		}
		for _, p := range m.running {
			select {
			case <-p.Done():
				m.t.Fatalf("waiting for %s: %v", what, p.Err())
			default:
			}
		}
		select {
		case <-ctx.Done():
			m.t.Fatalf("waited too long for %s: %v", what, last)
		case <-every.C:
		}
	}
}

// up starts a service and waits until it is what its healthcheck looks for.
func (m *machine) up(name string) {
	m.t.Helper()
	s := m.compose.Services[name]
	var env []string
	for _, v := range sorted(s.Environment) {
		env = append(env, v+"="+m.here(name, name, s.Environment[v]))
	}
	switch image, _, _ := strings.Cut(s.Image, ":"); image {
	case ourImage:
		m.start(name, name, program(m.t, s.Command[0]), s.Command[1:], env...)
	case flinkImage:
		for i := range max(1, s.Scale) {
			m.startFlink(name, m.instances(name)[i], env)
		}
	case "apache/kafka":
		m.startKafka(name)
	case "postgres":
		m.startPostgres(name)
	case "redis":
		m.start(name, name, s.Entrypoint[0], slices.Concat(s.Entrypoint[1:], s.Command, []string{"--bind", "127.0.0.1"}))
		client := redis.NewClient(&redis.Options{Addr: m.addr(name, "6379"), Password: secretText("redis-password")})
		defer client.Close() //nolint:errcheck // It only asked.
		m.until(name, func(ctx context.Context) error { return client.Ping(ctx).Err() })
	case "nginx":
		m.startNginx(name)
	case "prom/prometheus":
		m.startPrometheus(name)
	default:
		m.t.Fatalf("%s: nobody knows how to start %s here", name, s.Image)
	}
	for _, a := range s.Healthcheck.Test {
		if strings.HasPrefix(a, "http://") {
			m.until(name, func(ctx context.Context) error {
				_, err := get(ctx, m.here(name, name, a))
				return err
			})
		}
	}
}

func (m *machine) instances(name string) []string {
	n := m.compose.Services[name].Scale
	if n == 0 {
		return []string{name}
	}
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%d", name, i+1)
	}
	return all
}

// workerPorts gives the workers of all TaskManagers, which share a machine here,
// ports in a row: each takes the next one.
func (m *machine) workerPorts() {
	m.t.Helper()
	for _, a := range m.compose.Services["submit"].Command {
		port, ok := strings.CutPrefix(a, "--worker-metrics-addr=0.0.0.0:")
		if !ok {
			continue
		}
		all := m.instances("taskmanager")
		first := m.free(len(all))
		m.ports["submit:"+port] = first
		for i, instance := range all {
			m.ports[instance+":"+port] = first + i
		}
	}
}

// startFlink is the image of Flink: flink.sh with the jars and the settings.
func (m *machine) startFlink(name, instance string, env []string) {
	m.t.Helper()
	m.files(name, instance, func(text string) string {
		// What must differ where all processes share a machine. Of a key that stands twice the last counts.
		return text + "\njobmanager.bind-host: 127.0.0.1\ntaskmanager.host: 127.0.0.1\ntaskmanager.bind-host: 127.0.0.1\nrest.bind-address: 127.0.0.1\n"
	})
	script, err := filepath.Abs(filepath.Join(root, "deploy", "flink", "flink.sh"))
	if err != nil {
		m.t.Fatal(err)
	}
	conf := filepath.Join(m.dir, "files", instance, "opt", "flink", "conf")
	m.start(name, instance, script, m.compose.Services[name].Command, append(env, "FLINK_LIB="+testenv.FlinkJars(), "FLINK_CONF="+conf)...)
}

const kafkaLog = `<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="ERROR"><Appenders><Console name="C" target="SYSTEM_OUT"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="C"/></Root></Loggers></Configuration>`

// startKafka makes settings of the variables as the image does, and asks the
// broker for each: one that it does not know it would ignore.
func (m *machine) startKafka(name string) {
	m.t.Helper()
	s := m.compose.Services[name]
	settings, lines := map[string]string{}, ""
	for _, v := range sorted(s.Environment) {
		if key, ok := strings.CutPrefix(v, "KAFKA_"); ok {
			key = strings.ReplaceAll(strings.ToLower(key), "_", ".")
			settings[key] = m.here(name, name, s.Environment[v])
			lines += key + "=" + settings[key] + "\n"
		}
	}
	file, log := m.write(name, "/server.properties", lines), m.write(name, "/log4j2.xml", kafkaLog)
	java := func(args ...string) []string {
		return append([]string{
			"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.configurationFile=" + log,
			"-cp", filepath.Join(os.Getenv("PULSEBOARD_REAL"), "kafka", "lib", "*"),
		}, args...)
	}
	m.run(name, embedded.ChildConfig{Name: "kafka-format", Path: "java", Output: m.log(name), Args: java("kafka.tools.StorageTool", "format", "-t", s.Environment["CLUSTER_ID"], "-c", file)})
	if err := m.running[name].Err(); !strings.Contains(err.Error(), "exit code 0") {
		m.t.Fatal(err)
	}
	m.run(name, embedded.ChildConfig{Name: name, Path: "java", Output: m.log(name), Args: java("kafka.Kafka", file)})
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(m.addr(name, "9092")), Timeout: 10 * time.Second, Transport: transport}
	var have map[string]string
	m.until(name, func(ctx context.Context) error {
		res, err := client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
			{ResourceType: kafka.ResourceTypeBroker, ResourceName: settings["node.id"]},
		}})
		if err != nil {
			return err
		}
		have = map[string]string{}
		for _, c := range res.Resources[0].ConfigEntries {
			have[c.ConfigName] = c.ConfigValue
		}
		return res.Resources[0].Error
	})
	for key, value := range settings {
		if got, ok := have[key]; !ok || got != value {
			m.t.Errorf("Kafka has %s=%q, compose.yaml says %q", key, got, value)
		}
	}
}

// startPostgres makes the user and the database, as the image does.
func (m *machine) startPostgres(name string) {
	m.t.Helper()
	s := m.compose.Services[name]
	conn, err := pgx.Connect(m.t.Context(), testenv.Postgres(m.t))
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close(m.t.Context()) //nolint:errcheck // It was answered.
	m.ports[name+":5432"] = int(conn.Config().Port)
	user, database := pgx.Identifier{s.Environment["POSTGRES_USER"]}.Sanitize(), pgx.Identifier{s.Environment["POSTGRES_DB"]}.Sanitize()
	for _, sql := range []string{"CREATE ROLE " + user + " LOGIN", "CREATE DATABASE " + database + " OWNER " + user} {
		if _, err := conn.Exec(m.t.Context(), sql); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *machine) startNginx(name string) {
	m.t.Helper()
	path, _ := installed("nginx")
	m.files(name, name, func(text string) string { return text })
	args := slices.Clone(m.compose.Services[name].Command[1:])
	// One process, since the workers of a master that is killed stay.
	args[1] += " master_process off;"
	m.start(name, name, path, append(args, "-c", "/etc/nginx/nginx.conf", "-e", "stderr"))
	m.until(name, func(ctx context.Context) error {
		_, err := get(ctx, m.url("/openapi.yaml"))
		return err
	})
}

// url is an address of the whole, at nginx.
func (m *machine) url(path string) string { return "http://" + m.addr("nginx", "8080") + path }

var names = regexp.MustCompile(`dns_sd_configs: \[\{names: \[(\w+)\], type: A, port: (\d+), [^\]]*\}\]`)

// startPrometheus does without DNS: it names the containers of a service one by one.
func (m *machine) startPrometheus(name string) {
	m.t.Helper()
	path, ok := installed("prometheus")
	if !ok {
		m.t.Log("prometheus is not installed: what it says of the rest was not looked at")
		return
	}
	m.files(name, name, func(text string) string {
		return replace(names, text, func(g []string) string {
			var targets []string
			for _, instance := range m.instances(g[1]) {
				targets = append(targets, `"`+m.addr(instance, g[2])+`"`)
			}
			return "static_configs: [{targets: [" + strings.Join(targets, ", ") + "]}]"
		})
	})
	m.start(name, name, path, m.compose.Services[name].Command)
	m.until(name, func(ctx context.Context) error {
		_, err := get(ctx, "http://"+m.addr(name, "9090")+"/-/ready")
		return err
	})
}

func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, res.Status, b)
	}
	return string(b), err
}
