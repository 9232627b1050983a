package deploy_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/auth"
)

// volume lays files out as kubelet does: links, in a folder that everybody may write to but where
// nobody may replace what another has made.
func volume(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	within := filepath.Join(dir, "..2026_11_29_00_00_00.1")
	if err := os.Mkdir(within, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(within, name), []byte(text), 0o440); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Base(within), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Each container of ours starts with the arguments, the environment and the Secrets of its pod,
// listens on the port that the pod declares and no other, and answers its probes there. What
// stands in for the cluster: addresses, PostgreSQL (TestCompose has that), and a Redis that
// asks for the password.
func TestPodsOfOurs(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("sockets are looked up in Linux' /proc")
	}
	if err := programs(); err != nil {
		t.Fatal(err)
	}
	m := readManifests(t, kubernetesBase)
	kafka := testenv.Kafka(t, testenv.Topic{Name: "metric-events", Partitions: 16}, testenv.Topic{Name: "metric-dead-letters", Partitions: 1})
	redis := miniredis.RunT(t)
	redis.RequireAuth(secretText("redis"))
	asked := make(chan string, 100)
	others := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.URL.Path:
		default:
		}
		w.WriteHeader(http.StatusServiceUnavailable) // A Flink without a leader, an nginx without services.
	}))
	t.Cleanup(others.Close)
	at := map[string]string{
		"kafka:9092": kafka, "redis:6379": redis.Addr(), "nginx:8080": others.Listener.Addr().String(),
		"jobmanager:8081": others.Listener.Addr().String(), "jobserver:8099": "127.0.0.1:1",
	}
	tokens := "tokens:\n" + auth.Entry{Name: "admin", Scopes: []auth.Scope{auth.Admin}, Hash: auth.DigestOf("admin")}.YAML()

	started := 0
	for _, w := range m.workloads {
		if w.container().Image != ourImage {
			continue
		}
		started++
		t.Run(w.Component, func(t *testing.T) {
			paths := map[string]string{"/var/lib/flink": t.TempDir()}
			files := map[string]map[string]string{}
			for k, file := range m.secrets(t, w) {
				dir := filepath.Dir(file)
				if files[dir] == nil {
					files[dir] = map[string]string{}
				}
				if files[dir][k.key] = secretText(k.secret) + "\n"; k.key == "tokens.yaml" {
					files[dir][k.key] = tokens
				}
			}
			for dir, f := range files {
				paths[dir] = volume(t, f)
			}
			listen := regexp.MustCompile(`\b0\.0\.0\.0:\d+`)
			here := func(text string) string {
				for from, to := range at {
					text = strings.ReplaceAll(text, from, to)
				}
				for from, to := range paths {
					text = strings.ReplaceAll(text, from, to)
				}
				return listen.ReplaceAllString(text, "127.0.0.1:0")
			}
			command, env := m.command(t, w), m.environment(t, w)
			var args []string
			for _, v := range sorted(env) {
				switch v {
				case "PULSEBOARD_DATABASE":
					args = append(args, v+"="+filepath.Join(t.TempDir(), "dashboards.db"))
				case "PULSEBOARD_DATABASE_PASSWORD_FILE":
				default:
					args = append(args, v+"="+here(env[v]))
				}
			}
			args = append(args, program(t, command[0]))
			for _, a := range command[1:] {
				args = append(args, here(a))
			}
			log := new(testenv.Buffer)
			p := testenv.Start(t, log, "env", args...) // It becomes the program.
			until := func(look func(context.Context) error) {
				t.Helper()
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				for every := time.NewTicker(100 * time.Millisecond); ; {
					err := look(ctx)
					if err == nil {
						return
					}
					select {
					case <-every.C:
					case <-p.Done():
						t.Fatalf("it has ended; its log: %s", log)
					case <-ctx.Done():
						t.Fatalf("waited too long: %v; its log: %s", err, log)
					}
				}
			}
			if len(w.ports()) == 0 { // submit: it asks Flink for its job.
				until(func(ctx context.Context) error {
					select {
					case path := <-asked:
						if path != "/jobs/overview" {
							return fmt.Errorf("it asked for %s", path)
						}
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				})
				return
			}
			var all []testenv.Listener
			until(func(context.Context) (err error) {
				if all, err = testenv.Listeners(p.Pid()); err == nil && len(all) == 0 {
					err = fmt.Errorf("it listens on nothing")
				}
				return err
			})
			addr := regexp.MustCompile(`--addr=0\.0\.0\.0:(\d+)`).FindStringSubmatch(strings.Join(command, " "))
			if len(all) != 1 || addr == nil || !slices.Equal(w.ports(), []int{atoi(t, addr[1])}) {
				t.Errorf("it listens on %v by %v, and the pod has the ports %v", all, addr, w.ports())
			}
			for name, probe := range map[string]*probe{"readiness": w.container().ReadinessProbe, "liveness": w.container().LivenessProbe} {
				want := map[string]string{"readiness": "/readyz", "liveness": "/healthz"}[name]
				if w.Component == "canary" {
					want = "/healthz" // What it sees of the others is no reason to hold up what is rolled out.
				}
				if probe.HTTPGet == nil || probe.HTTPGet.Path != want || w.number(probe.HTTPGet.Port) != w.ports()[0] {
					t.Errorf("the %s probe asks %+v, want %s", name, probe.HTTPGet, want)
					continue
				}
				until(func(ctx context.Context) error {
					_, err := get(ctx, "http://"+all[0].Addr+probe.HTTPGet.Path)
					return err
				})
			}
			if err := p.Stop(); err != nil {
				t.Errorf("%v; its log: %s", err, log)
			}
		})
	}
	if started != 5 {
		t.Errorf("%d containers of ours were started", started)
	}
}

func atoi(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// flink.sh, with a program of the test in the place of Java, gives each process of Flink the settings
// of its pod; and the ports in these are those that the pod declares and its probes ask.
func TestFlinkInPods(t *testing.T) {
	m := readManifests(t, kubernetesBase)
	script, err := filepath.Abs(filepath.Join(root, "deploy", "flink", "flink.sh"))
	if err != nil {
		t.Fatal(err)
	}
	worker := regexp.MustCompile(`--worker-metrics-addr=0\.0\.0\.0:(\d+)`).FindStringSubmatch(strings.Join(m.command(t, m.workload(t, "submit")), " "))
	want := map[string][]string{ // The settings that say where each listens.
		"jobmanager":  {"rest.port", "high-availability.jobmanager.port", "blob.server.port", "metrics.internal.query-service.port", "metrics.reporter.prom.port"},
		"taskmanager": {"taskmanager.rpc.port", "taskmanager.data.port", "metrics.internal.query-service.port", "metrics.reporter.prom.port"},
	}
	probed := map[string]string{"jobmanager": "high-availability.jobmanager.port", "taskmanager": "taskmanager.rpc.port"}
	for _, component := range []string{"jobmanager", "taskmanager", "jobserver"} {
		t.Run(component, func(t *testing.T) {
			w := m.workload(t, component)
			dir := t.TempDir()
			java := "#!/bin/sh\nprintf '%s\\n' \"$@\" >\"$OUT/arguments\"\n"
			if err := os.WriteFile(filepath.Join(dir, "java"), []byte(java), 0o700); err != nil {
				t.Fatal(err)
			}
			conf := volume(t, m.of("ConfigMap")["flink-conf"].Data)
			cmd := exec.CommandContext(t.Context(), script, m.command(t, w)...)
			cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "OUT=" + dir, "TMPDIR=" + dir, "FLINK_CONF=" + conf, "FLINK_LIB=/opt/flink/lib"}
			env := m.environment(t, w)
			for name, value := range env {
				if name == "FLINK_STATE" {
					value = t.TempDir()
				}
				cmd.Env = append(cmd.Env, name+"="+value)
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			b, err := os.ReadFile(filepath.Join(dir, "arguments"))
			if err != nil {
				t.Fatal(err)
			}
			args := strings.Split(strings.TrimSpace(string(b)), "\n")
			text, err := os.ReadFile(filepath.Join(confDir(t, args), "flink-conf.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			have := settings(string(text))
			for key, value := range settings(read(t, "deploy", "flink", "flink-conf.yaml")) {
				if _, more := settings(env["FLINK_PROPERTIES"])[key]; !more && have[key] != value {
					t.Errorf("%s is %q, in flink-conf.yaml %q", key, have[key], value)
				}
			}
			for key, value := range settings(env["FLINK_PROPERTIES"]) {
				if have[key] != value {
					t.Errorf("%s is %q, the pod's is %q", key, have[key], value)
				}
			}
			for _, a := range args {
				if key, value, ok := strings.Cut(strings.TrimPrefix(a, "-D"), "="); ok && strings.HasPrefix(a, "-D") {
					have[key] = value
				}
			}
			if have["high-availability.type"] != "kubernetes" || have["kubernetes.namespace"] != "pulseboard" {
				t.Errorf("it elects by %s in the namespace %s", have["high-availability.type"], have["kubernetes.namespace"])
			}
			state := have["high-availability.storageDir"]
			for _, key := range []string{"state.checkpoints.dir", "state.savepoints.dir"} {
				if !strings.HasPrefix(state, "file:///var/lib/flink/") || !strings.HasPrefix(have[key], "file:///var/lib/flink/") {
					t.Errorf("%s is %s, and the JobManagers keep theirs in %s", key, have[key], state)
				}
			}
			if !w.mounts("/var/lib/flink") {
				t.Error("it does not see the state of Flink")
			}
			switch component {
			case "jobmanager":
				if have["jobmanager.rpc.address"] != podIP || have["rest.address"] != podIP {
					t.Errorf("it is found at %s and %s, not at its own address", have["jobmanager.rpc.address"], have["rest.address"])
				}
			case "taskmanager":
				if have["taskmanager.host"] != podIP {
					t.Errorf("it is found at %s, not at its own address", have["taskmanager.host"])
				}
			default:
			}
			var listens []int
			for _, key := range want[component] {
				first, _, _ := strings.Cut(have[key], "-") // Of a range the first is free in a pod.
				listens = append(listens, atoi(t, first))
			}
			rpc := have[probed[component]]
			switch component {
			case "taskmanager":
				listens = append(listens, atoi(t, worker[1]))
			case "jobserver":
				job := regexp.MustCompile(`(?m)^--job-port=(\d+)$`).FindStringSubmatch(string(b))
				listens, rpc = []int{atoi(t, job[1])}, job[1] // The other two are for nobody.
			default:
			}
			if slices.Sort(listens); !slices.Equal(listens, w.ports()) {
				t.Errorf("it listens on %v, and the pod declares %v", listens, w.ports())
			}
			probes := map[string]*probe{"startup": w.container().StartupProbe, "liveness": w.container().LivenessProbe, "readiness": w.container().ReadinessProbe}
			if component == "jobmanager" { // Ready is one that knows who leads.
				r := probes["readiness"]
				if r == nil || r.HTTPGet == nil || r.HTTPGet.Path != "/overview" || strconv.Itoa(w.number(r.HTTPGet.Port)) != have["rest.port"] {
					t.Errorf("the readiness probe is %+v", r)
				}
				delete(probes, "readiness")
			}
			for name, p := range probes {
				if p == nil || p.TCPSocket == nil || strconv.Itoa(w.number(p.TCPSocket.Port)) != rpc {
					t.Errorf("the %s probe is %+v, want one of the port %s", name, p, rpc)
				}
			}
			// The memory of its parts, and of the worker's heap, fits.
			total := 0
			for _, a := range args {
				if mib := regexp.MustCompile(`^(?:-Xmx|-XX:MaxDirectMemorySize=|-XX:MaxMetaspaceSize=)(\d+)m$`).FindStringSubmatch(a); mib != nil {
					total += atoi(t, mib[1])
				}
			}
			if component == "taskmanager" {
				total += atoi(t, strings.TrimSuffix(have["taskmanager.memory.managed.size"], "m")) + atoi(t, strings.TrimSuffix(env["GOMEMLIMIT"], "MiB"))
			}
			if limit := mebibytes(t, w.container().Resources.Limits["memory"]); total < 256 || total > limit*9/10 {
				t.Errorf("Java and the worker may take %d MiB, and the container has %d", total, limit)
			}
		})
	}
}

// confDir is the folder of the configuration that Java was given.
func confDir(t *testing.T, args []string) string {
	t.Helper()
	for i, a := range args {
		if dir, ok := strings.CutPrefix(a, "--flink-conf-dir="); ok {
			return dir
		}
		if a == "--configDir" {
			return args[i+1]
		}
	}
	t.Fatalf("Java was given no configuration: %v", args)
	return ""
}

// mebibytes reads a quantity of Kubernetes.
func mebibytes(t *testing.T, quantity string) int {
	t.Helper()
	if n, ok := strings.CutSuffix(quantity, "Gi"); ok {
		return atoi(t, n) * 1024
	}
	return atoi(t, strings.TrimSuffix(quantity, "Mi"))
}

// nginx listens where its pod and its probes say, and writes where its pod lets it.
func TestNginxInItsPod(t *testing.T) {
	m := readManifests(t, kubernetesBase)
	w := m.workload(t, "nginx")
	conf := m.of("ConfigMap")["nginx"].Data["nginx.conf"]
	if conf != read(t, "deploy", "nginx", "nginx.conf") {
		t.Error("it is another nginx.conf than that of compose.yaml, which TestNginxAnswersPrograms starts")
	}
	listen := regexp.MustCompile(`\blisten (\d+);`).FindStringSubmatch(conf)
	if listen == nil || !slices.Equal(w.ports(), []int{atoi(t, listen[1])}) {
		t.Errorf("it listens on %v, and its pod declares %v", listen, w.ports())
	}
	for _, p := range []*probe{w.container().ReadinessProbe, w.container().LivenessProbe} {
		if p.TCPSocket == nil || w.number(p.TCPSocket.Port) != w.ports()[0] {
			t.Errorf("a probe asks %+v", p)
		}
	}
	for _, written := range regexp.MustCompile(`(?m)(?:^pid|_temp_path) (/\S+);`).FindAllStringSubmatch(conf, -1) {
		if !strings.HasPrefix(written[1], "/tmp/") {
			t.Errorf("it writes to %s", written[1])
		}
	}
	if !w.mounts("/tmp") {
		t.Error("it may write nowhere")
	}
}
