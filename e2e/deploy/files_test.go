package deploy_test

import (
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// help runs a command of ours with its flags and --help: that reads all flags first.
func help(t *testing.T, command []string) string {
	t.Helper()
	out, err := exec.Command(program(t, command[0]), append(slices.Clone(command[1:]), "--help")...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %s", strings.Join(command, " "), out)
	}
	return string(out)
}

// Each command of compose.yaml is one that our programs take, and each variable one that they read.
func TestCommandsParse(t *testing.T) {
	script := read(t, "deploy", "flink", "flink.sh")
	c := readCompose(t)
	for _, name := range sorted(c.Services) {
		s := c.Services[name]
		switch s.Image {
		case ourImage:
			text := help(t, s.Command)
			for _, v := range sorted(s.Environment) {
				if !strings.Contains(text, " "+v+"\n") {
					t.Errorf("%s: %s does not read %s", name, s.Command[0], v)
				}
			}
		case flinkImage:
			if !strings.Contains(script, "\n"+s.Command[0]+")\n") {
				t.Errorf("%s: flink.sh does not know %s", name, s.Command[0])
			}
			for _, v := range sorted(s.Environment) {
				if !strings.Contains(script, "${"+v+":") {
					t.Errorf("%s: flink.sh does not read %s", name, v)
				}
			}
		default:
		}
	}
}

// What compose.yaml names is there, and nothing can be reached from outside.
func TestComposeNamesWhatExists(t *testing.T) {
	c := readCompose(t)
	stages := readDockerfile(t)
	used, usedSecrets := map[string]bool{}, map[string]bool{}
	for _, name := range sorted(c.Services) {
		s := c.Services[name]
		if s.Build.Dockerfile != "" {
			if err := exists("deploy", s.Build.Context, s.Build.Dockerfile); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if _, ok := stages[s.Build.Target]; !ok {
				t.Errorf("%s: the Dockerfile has no stage %q", name, s.Build.Target)
			}
		} else if !pinned.MatchString(s.Image) {
			t.Errorf("%s: the image %q has no whole version", name, s.Image)
		}
		for target, source := range s.mounts(t) {
			if strings.HasPrefix(source, ".") {
				if err := exists("deploy", source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if s.Image == flinkImage && !stages["flink"].has(target) {
					t.Errorf("%s: %s is not in the image, where flink.sh looks for it", name, target)
				}
				continue
			}
			if source == "" {
				continue // Of each container its own.
			}
			used[source] = true
			if _, ok := c.Volumes[source]; !ok {
				t.Errorf("%s: the volume %s is not declared", name, source)
			}
		}
		for on := range s.DependsOn {
			if _, ok := c.Services[on]; !ok {
				t.Errorf("%s depends on %s, which is not there", name, on)
			}
		}
		for _, a := range s.Command {
			if file, ok := strings.CutPrefix(a, "--tokens="); ok && s.mounts(t)[path.Dir(file)] != tokensVolume {
				t.Errorf("%s: the tokens file %s does not lie in the volume that compose run tokens writes", name, file)
			}
		}
		for _, secret := range s.Secrets {
			usedSecrets[secret] = true
			if c.Secrets[secret].File == "" {
				t.Errorf("%s: the secret %s is not declared, with a file", name, secret)
			}
		}
		for _, text := range slices.Concat(s.Entrypoint, s.Command, slices.Collect(maps.Values(s.Environment))) {
			for _, found := range secretFile.FindAllStringSubmatch(text, -1) {
				if !slices.Contains(s.Secrets, found[1]) {
					t.Errorf("%s reads %s, and its secrets are %v", name, found[0], s.Secrets)
				}
			}
			if inAddress.MatchString(text) {
				t.Errorf("%s: an address with a password: %s", name, text)
			}
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: the port %s is published to other machines, where anybody may read what goes over it: put a proxy with TLS before it", name, p)
			}
		}
	}
	for v := range c.Volumes {
		if !used[v] {
			t.Errorf("nobody uses the volume %s", v)
		}
	}
	for secret := range c.Secrets {
		if !usedSecrets[secret] {
			t.Errorf("nobody uses the secret %s", secret)
		}
	}
	// The workers read the files that the job names.
	for _, secret := range c.Services["submit"].Secrets {
		if !slices.Contains(c.Services["taskmanager"].Secrets, secret) {
			t.Errorf("submit names the secret %s, and taskmanager has none of that name", secret)
		}
	}
	c.order(t)
	worker := slices.IndexFunc(c.Services["submit"].Command, func(a string) bool { return strings.HasPrefix(a, "--worker=") })
	if worker < 0 || !stages["flink"].has(strings.TrimPrefix(c.Services["submit"].Command[worker], "--worker=")) {
		t.Error("submit does not name the worker where it is in the image of Flink")
	}
	if c.Services["submit"].Restart != "on-failure" {
		t.Error("a job that an operator ended would be submitted again")
	}
}

var (
	secretFile = regexp.MustCompile(secretsFolder + `/([\w-]+)`)
	inAddress  = regexp.MustCompile(`://[^/@\s]*:[^/@\s]*@`)
)

// tokensVolume is where the tokens file lies.
const tokensVolume = "tokens"

// stage is one of the Dockerfile.
type stage struct {
	user       string
	files      []string // And folders, where they come to lie.
	entrypoint string
}

func (s stage) has(file string) bool {
	return slices.ContainsFunc(s.files, func(f string) bool { return file == f || path.Dir(file) == strings.TrimSuffix(f, "/") })
}

// A whole version: at least major and minor.
var pinned = regexp.MustCompile(`:v?\d+\.\d+`)

// readDockerfile checks what it reads: sources, stages, targets of make.
func readDockerfile(t *testing.T) map[string]stage {
	t.Helper()
	text := strings.ReplaceAll(read(t, "deploy", "Dockerfile"), "\\\n", " ")
	makefile := read(t, "Makefile")
	stages, name := map[string]stage{}, ""
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		s := stages[name]
		switch words[0] {
		case "FROM":
			if len(words) != 4 || !pinned.MatchString(words[1]) {
				t.Errorf("%s: a stage needs a whole version and a name", line)
			}
			name, s = words[len(words)-1], stage{}
		case "COPY":
			s.files = append(s.files, checkCopy(t, stages, words[1:])...)
		case "RUN":
			for _, m := range regexp.MustCompile(`\bmake ([\w-]+)`).FindAllStringSubmatch(line, -1) {
				if m[1] != "install" && !regexp.MustCompile(`(?m)^`+m[1]+`:`).MatchString(makefile) && !strings.Contains(line, "apt-get") {
					t.Errorf("the Makefile has no target %s", m[1])
				}
			}
		case "USER":
			s.user = words[1]
		case "ENTRYPOINT":
			s.entrypoint = strings.Trim(words[1], `[]",`)
		default:
		}
		stages[name] = s
	}
	return stages
}

func checkCopy(t *testing.T, stages map[string]stage, words []string) (files []string) {
	t.Helper()
	from := ""
	for ; strings.HasPrefix(words[0], "--"); words = words[1:] {
		if f, ok := strings.CutPrefix(words[0], "--from="); ok {
			from = f
			if _, ok := stages[from]; !ok {
				t.Errorf("COPY %v: no stage %s is above it", words, from)
			}
		}
	}
	to := words[len(words)-1]
	for _, source := range words[:len(words)-1] {
		switch program, built := strings.CutPrefix(source, "/src/bin/"); {
		case from == "":
			if err := exists(source); err != nil {
				t.Errorf("COPY %v: %v", words, err)
			}
		case built && program == "":
			all, err := os.ReadDir(filepath.Join(root, "cmd"))
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range all {
				files = append(files, path.Join(to, d.Name()))
			}
		case built:
			if err := exists("cmd", program); err != nil {
				t.Errorf("COPY %v: make build does not make it: %v", words, err)
			}
		default:
		}
	}
	return append(files, to)
}

// The Dockerfile cannot be built where there is no Docker; what it names is there.
func TestDockerfileNamesWhatExists(t *testing.T) {
	stages := readDockerfile(t)
	for _, name := range []string{"services", "flink"} {
		if s := stages[name]; s.user == "" || s.user == "root" {
			t.Errorf("the image %s runs as root", name)
		}
	}
	if s := stages["flink"]; s.entrypoint == "" || !s.has(s.entrypoint) {
		t.Errorf("the image has no %q to start", s.entrypoint)
	}
	for _, s := range readCompose(t).Services {
		if s.Image == ourImage && !stages["services"].has("/opt/pulseboard/bin/"+s.Command[0]) {
			t.Errorf("the image has no program %s", s.Command[0])
		}
	}
	script := read(t, "deploy", "flink", "flink.sh")
	for _, m := range regexp.MustCompile(`:-(/[^}]+)\}`).FindAllStringSubmatch(script, -1) {
		if !stages["flink"].has(m[1]) && !stages["flink"].has(m[1]+"/flink-conf.yaml") {
			t.Errorf("flink.sh looks for %s, which is not in the image", m[1])
		}
	}
}

// The commands of the operators' page are ones that compose.yaml and our programs take.
func TestPageNamesCommandsThatExist(t *testing.T) {
	c := readCompose(t)
	n := 0
	for _, block := range regexp.MustCompile("(?s)```\n(.*?)```").FindAllStringSubmatch(read(t, "docs", "operations.md"), -1) {
		text := strings.ReplaceAll(block[1], "\\\n", " ")
		for _, m := range regexp.MustCompile(`\bpipeline ((?:submit|status|cancel|savepoint)[^\n#|;]*)`).FindAllStringSubmatch(text, -1) {
			n++
			help(t, append([]string{"pipeline"}, strings.Fields(m[1])...))
		}
		for _, m := range regexp.MustCompile(`\bcompose (up -d|build|exec|run --rm|stop|restart|logs)([^\n#]*)`).FindAllStringSubmatch(text, -1) {
			for _, word := range strings.Fields(m[2]) {
				word = strings.TrimPrefix(word, "--scale=")
				word, _, _ = strings.Cut(word, "=")
				if strings.HasPrefix(word, "-") {
					continue
				}
				n++
				if _, ok := c.Services[word]; !ok {
					t.Errorf("%s: compose.yaml has no service %s", m[0], word)
				}
				if m[1] == "exec" || m[1] == "run --rm" {
					break // What follows is a command.
				}
			}
		}
	}
	if n < 8 {
		t.Errorf("only %d commands were found", n)
	}
}
