package conf

import (
	"fmt"
	"path/filepath"
	"strings"

	"pulseboard/internal/secret"
)

// Secret is a password or token, and the file that it came from, "" for none.
type Secret struct {
	Text secret.Text `json:"-"`
	File string      `json:"file,omitempty"`
}

const fileSuffix = "-file"

type secretFlag struct {
	to   *Secret
	name string
}

// Secret defines a secret, which no argument may hold: --NAME-file names a file
// that holds it, and the environment variable of NAME holds it itself. usage
// describes it, after "file that holds".
func (f *Flags) Secret(to *Secret, name, usage string) {
	f.StringVar(&to.File, name+fileSuffix, "", "`file` that holds "+usage+", alone in one line")
	f.secrets = append(f.secrets, &secretFlag{to, name})
}

func (s *secretFlag) read(getenv func(string) string) error {
	value := getenv(EnvName(s.name))
	if s.to.File == "" {
		s.to.Text = secret.New(value)
		return nil
	}
	if value != "" {
		return fmt.Errorf("--%s%s (or %s) and %s are both set: keep one of them", s.name, fileSuffix, EnvName(s.name+fileSuffix), EnvName(s.name))
	}
	var err error
	if s.to.Text, err = secret.ReadFile(s.to.File); err != nil {
		return fmt.Errorf("--%s%s: %w", s.name, fileSuffix, err)
	}
	// Another process may have another folder.
	s.to.File, err = filepath.Abs(s.to.File)
	return err
}

// Find reads it again where the process is another: from its file, else from the environment.
func (s *Secret) Find(name string, getenv func(string) string) error {
	return (&secretFlag{s, name}).read(getenv)
}

// refuseSecrets refuses a secret that is given as a flag or within an address: every
// user of this machine can read arguments in the list of processes.
func (f *Flags) refuseSecrets(args []string) error {
	for i, arg := range args {
		if arg == "--" {
			return nil
		}
		name, value, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		isFlag := strings.HasPrefix(arg, "-")
		for _, s := range f.secrets {
			if isFlag && name == s.name {
				return fmt.Errorf("--%[1]s is no flag, since every user of this machine could read the secret in the list of processes: put it into a file and name that with --%[1]s%[2]s, or into %[3]s in the environment (and take another secret, this one was seen)",
					s.name, fileSuffix, EnvName(s.name))
			}
		}
		if isFlag && !joined {
			continue // Its value is the next argument.
		}
		if !isFlag {
			name, value = "", arg
			if i > 0 && strings.HasPrefix(args[i-1], "-") && !strings.Contains(args[i-1], "=") {
				name = strings.TrimLeft(args[i-1], "-")
			}
		}
		if secret.Holds(value) {
			return f.holdsSecret(name)
		}
	}
	return nil
}

// holdsSecret never quotes the value.
func (f *Flags) holdsSecret(name string) error {
	if f.Lookup(name) == nil {
		return fmt.Errorf("an argument holds a password, which every user of this machine can read in the list of processes (see %s --help); take another password, this one was seen", f.Name())
	}
	way := ""
	for _, s := range f.secrets {
		if strings.HasPrefix(s.name, name+"-") && way == "" {
			way = fmt.Sprintf("leave it out there and name a file that holds it with --%s%s, or set %s, or ", s.name, fileSuffix, EnvName(s.name))
		}
	}
	return fmt.Errorf("--%s holds a password, which every user of this machine can read in the list of processes: %sgive the whole address in %s in the environment (and take another password, this one was seen)",
		name, way, EnvName(name))
}
