package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"

	"pulseboard/e2e/testenv"
)

// The folder of the repository, from that of these tests.
const root = "../.."

// compose is what the tests need of deploy/compose.yaml.
type compose struct {
	Services map[string]service `yaml:"services"`
	Volumes  map[string]any     `yaml:"volumes"`
	Secrets  map[string]struct {
		File string `yaml:"file"`
	} `yaml:"secrets"`
}

type service struct {
	Image string `yaml:"image"`
	Build struct {
		Context    string `yaml:"context"`
		Dockerfile string `yaml:"dockerfile"`
		Target     string `yaml:"target"`
	} `yaml:"build"`
	Entrypoint  []string          `yaml:"entrypoint"` // Empty = the image's.
	Command     []string          `yaml:"command"`
	Secrets     []string          `yaml:"secrets"` // In files below secretsFolder.
	Environment map[string]string `yaml:"environment"`
	Volumes     []string          `yaml:"volumes"` // source:target, with :ro
	Ports       []string          `yaml:"ports"`
	Scale       int               `yaml:"scale"`
	Restart     string            `yaml:"restart"`
	Profiles    []string          `yaml:"profiles"` // Not empty = started by hand only.
	DependsOn   map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Healthcheck struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
}

// secretsFolder is where containers see their secrets.
const secretsFolder = "/run/secrets"

// The images that the Dockerfile makes.
const (
	ourImage   = "pulseboard"
	flinkImage = "pulseboard-flink"
)

// Variables of compose, each with its default.
var variable = regexp.MustCompile(`\$\{\w+:-([^}]*)\}`)

func readCompose(t *testing.T) compose {
	t.Helper()
	var c compose
	readYAML(t, "compose.yaml", &c)
	for _, s := range c.Services {
		for i := range s.Entrypoint {
			s.Entrypoint[i] = strings.ReplaceAll(s.Entrypoint[i], "$$", "$")
		}
		for i := range s.Command {
			s.Command[i] = variable.ReplaceAllString(s.Command[i], "$1")
		}
		for name, value := range s.Environment {
			s.Environment[name] = variable.ReplaceAllString(value, "$1")
		}
	}
	if len(c.Services) < 10 {
		t.Fatalf("compose.yaml has only %d services", len(c.Services))
	}
	return c
}

// order returns the services so that each comes after those that it depends on.
func (c compose) order(t *testing.T) (names []string) {
	t.Helper()
	var add func(name string, under []string)
	add = func(name string, under []string) {
		if slices.Contains(under, name) {
			t.Fatalf("services depend on each other in a circle: %v", append(under, name))
		}
		if slices.Contains(names, name) {
			return
		}
		for _, on := range sorted(c.Services[name].DependsOn) {
			add(on, append(slices.Clone(under), name))
		}
		names = append(names, name)
	}
	for _, name := range sorted(c.Services) {
		add(name, nil)
	}
	return names
}

// mounts returns the folders and files that are not the image's, by container path.
func (s service) mounts(t *testing.T) map[string]string {
	t.Helper()
	m := map[string]string{}
	for _, v := range s.Volumes {
		parts := strings.Split(v, ":")
		if len(parts) < 2 {
			m[v] = "" // Of each container its own.
			continue
		}
		m[parts[1]] = parts[0]
	}
	return m
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	// What a service takes over from another and says otherwise stands twice.
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "deploy", name)), into, yaml.AllowDuplicateMapKey()); err != nil {
		t.Fatalf("cannot read deploy/%s: %v", name, err)
	}
}

func read(t *testing.T, elem ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{root}, elem...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func exists(elem ...string) error {
	_, err := os.Stat(filepath.Join(append([]string{root}, elem...)...))
	return err
}

// built is the folder of our programs that is to be removed, made that where they are.
var built, made string

// programs builds those of ours that compose.yaml starts, once a run.
var programs = sync.OnceValue(func() (err error) {
	if p, ok := testenv.Made("pulseboard"); ok {
		made = filepath.Dir(p)
		return nil
	}
	if built, err = os.MkdirTemp("", "pulseboard-deploy-"); err != nil {
		return err
	}
	made = built
	args := []string{"build", "-o", built}
	for _, name := range []string{"configsvc", "gateway", "ingest", "pipeline", "pulseboard"} {
		args = append(args, "pulseboard/cmd/"+name)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the programs: %w: %s", err, out)
	}
	return nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code) //nolint:forbidigo // As TestMain must.
}

func program(t *testing.T, name string) string {
	t.Helper()
	if err := programs(); err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(made, path.Base(name))
	if _, err := os.Stat(p); err != nil {
		t.Fatalf("%s is none of our programs: %v", name, err)
	}
	return p
}

// installed returns the path of a program of Debian; in /usr/sbin it is found too.
func installed(name string) (string, bool) {
	if p, err := exec.LookPath(name); err == nil {
		return p, true
	}
	p := "/usr/sbin/" + name
	_, err := os.Stat(p)
	return p, err == nil
}
