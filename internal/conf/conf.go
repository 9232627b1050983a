// Package conf reads the flags of a command, each of which may also come from
// the environment: --data-dir from PULSEBOARD_DATA_DIR. A flag on the command
// line wins over the environment, the environment over the default.
package conf

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"pulseboard/internal/secret"
)

// ErrHelp is returned by Parse when --help was asked for and has been printed.
var ErrHelp = errors.New("help was asked for")

// Flags is a flag.FlagSet with an environment and a help text.
type Flags struct {
	*flag.FlagSet
	about   string
	secrets []*secretFlag
	checks  []func() error
	groups  []*Group
	ofEnv   map[string]bool // Flags that the environment has set.
}

// Group is flags that belong to a choice, such as a runner; --help lists them below its title.
type Group struct {
	flags *Flags
	title string
	names []string // Sorted.
}

// New returns an empty set. about is the text above the list of flags: what
// the command does, with examples.
func New(name, about string) *Flags {
	f := &Flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), about: about}
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	return f
}

// Group adds flags that belong together.
func (f *Flags) Group(title string, add func(*Flags)) *Group {
	g := &Group{flags: f, title: title}
	before := make(map[string]bool)
	f.VisitAll(func(fl *flag.Flag) { before[fl.Name] = true })
	add(f)
	f.VisitAll(func(fl *flag.Flag) {
		if !before[fl.Name] {
			g.names = append(g.names, fl.Name)
		}
	})
	f.groups = append(f.groups, g)
	return g
}

// Given returns a flag of the group that is among the arguments, "" when none is. What the environment sets is
// for several commands, and does not count.
func (g *Group) Given() string {
	given := ""
	g.flags.Visit(func(fl *flag.Flag) {
		if slices.Contains(g.names, fl.Name) && !g.flags.ofEnv[fl.Name] {
			given = fl.Name
		}
	})
	return given
}

// EnvName returns the environment variable of a flag.
func EnvName(flagName string) string {
	return "PULSEBOARD_" + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

// Parse reads environment and arguments. help is where --help is printed to.
func (f *Flags) Parse(args []string, getenv func(string) string, help io.Writer) error {
	rest, err := f.ParseArgs(args, getenv, help)
	if err == nil && len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q (see %s --help)", rest[0], f.Name())
	}
	return err
}

// ParseArgs is Parse for a command that takes arguments too, such as files:
// they may stand before, between and after the flags. What follows -- is no flag.
func (f *Flags) ParseArgs(args []string, getenv func(string) string, help io.Writer) (rest []string, err error) {
	if err := f.refuseSecrets(args); err != nil {
		return nil, err
	}
	if err := f.fromEnvironment(getenv); err != nil {
		return nil, err
	}
	f.VisitAll(func(fl *flag.Flag) {
		if r, ok := fl.Value.(*Repeated); ok {
			r.fresh = true
		}
	})
	for {
		switch err := f.FlagSet.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			f.printHelp(help)
			return nil, ErrHelp
		case err != nil:
			return nil, fmt.Errorf("%w (see %s --help)", err, f.Name())
		}
		read := len(args) - f.NArg()
		if f.NArg() == 0 || read > 0 && args[read-1] == "--" {
			return append(rest, f.Args()...), f.finish(getenv)
		}
		rest, args = append(rest, f.Arg(0)), f.Args()[1:]
	}
}

// Check adds what is done once all flags are read.
func (f *Flags) Check(check func() error) { f.checks = append(f.checks, check) }

func (f *Flags) finish(getenv func(string) string) error {
	for _, s := range f.secrets {
		if err := s.read(getenv); err != nil {
			return err
		}
	}
	for _, check := range f.checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (f *Flags) fromEnvironment(getenv func(string) string) error {
	var err error
	f.ofEnv = make(map[string]bool)
	f.VisitAll(func(fl *flag.Flag) {
		v := getenv(EnvName(fl.Name))
		if v == "" || err != nil {
			return
		}
		if e := f.Set(fl.Name, v); e != nil {
			err = fmt.Errorf("invalid value %q in %s: %w", secret.Scrub(v), EnvName(fl.Name), e)
		}
		f.ofEnv[fl.Name] = true
	})
	return err
}

func (f *Flags) printHelp(w io.Writer) {
	var b strings.Builder
	b.WriteString(strings.TrimSpace(f.about) + "\n\nFlags (each also as an environment variable, which the flag overrides):\n")
	grouped := make(map[string]bool)
	for _, g := range f.groups {
		for _, name := range g.names {
			grouped[name] = true
		}
	}
	f.VisitAll(func(fl *flag.Flag) {
		if !grouped[fl.Name] {
			f.printFlag(&b, fl)
		}
	})
	for _, g := range f.groups {
		if len(g.names) > 0 {
			b.WriteString("\n" + g.title + ":\n")
		}
		for _, name := range g.names {
			f.printFlag(&b, f.Lookup(name))
		}
	}
	// An output that is closed has no reader.
	_, _ = io.WriteString(w, b.String())
}

func (f *Flags) printFlag(b *strings.Builder, fl *flag.Flag) {
	kind, usage := flag.UnquoteUsage(fl)
	fmt.Fprintf(b, "  --%s", fl.Name)
	if kind != "" {
		fmt.Fprintf(b, " %s", kind)
	}
	if fl.DefValue != "" && fl.DefValue != "false" {
		fmt.Fprintf(b, "  (default %s)", fl.DefValue)
	}
	env := EnvName(fl.Name)
	for _, s := range f.secrets {
		if fl.Name == s.name+fileSuffix {
			env += "\n        " + EnvName(s.name) + " instead holds it itself"
		}
	}
	fmt.Fprintf(b, "\n        %s\n        %s\n", strings.ReplaceAll(usage, "\n", "\n        "), env)
}

// List is a flag value of comma-separated items.
type List []string

// String joins the items.
func (l *List) String() string { return strings.Join(*l, ",") }

// Set replaces the items.
func (l *List) Set(s string) error {
	*l = nil
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			*l = append(*l, item)
		}
	}
	return nil
}

// Repeated is a List whose flag may be given several times, each time with one
// or more items. On the command line it begins anew, as every flag does.
type Repeated struct {
	List

	Spaces bool // Items have white space between them, and may hold commas.
	fresh  bool
}

// Set adds items.
func (r *Repeated) Set(s string) error {
	if r.fresh {
		r.List, r.fresh = nil, false
	}
	if r.Spaces {
		r.List = append(r.List, strings.Fields(s)...)
		return nil
	}
	var l List
	err := l.Set(s)
	r.List = append(r.List, l...)
	return err
}

// Address is the value of a flag that may hold a password within a URL. It takes
// anything, so that no error of the flag package quotes it.
type Address struct{ Text string }

// Set implements flag.Value.
func (a *Address) Set(s string) error {
	a.Text = s
	return nil
}

// String is the address without its password.
func (a *Address) String() string { return secret.Scrub(a.Text) }

// IsLoopback reports whether a host, as the user names it, is on this machine alone.
func IsLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
