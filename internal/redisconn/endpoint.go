package redisconn

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"pulseboard/internal/clienttls"
	"pulseboard/internal/conf"
	"pulseboard/internal/secret"
)

// Endpoint is where Redis is, and how one gets in. However it is printed, logged
// or encoded, its passwords are not in it: what another process gets of it by
// JSON has the paths of files, and finds the passwords there or in its own environment.
type Endpoint struct {
	Hosts    []string        `json:"hosts,omitempty"`  // host:port, of the Sentinels when there is a Master.
	Socket   string          `json:"socket,omitempty"` // Path, instead of Hosts.
	Master   string          `json:"master,omitempty"` // Name by which the Sentinels know the Redis.
	DB       int             `json:"db,omitempty"`
	Prefix   string          `json:"prefix,omitempty"` // Of the installation, before every key and channel.
	User     string          `json:"user,omitempty"`   // Of Redis' ACL; "" = the default user.
	Password conf.Secret     `json:"password,omitzero"`
	Sentinel conf.Secret     `json:"sentinel_password,omitzero"` // Password of the Sentinels.
	TLS      clienttls.Files `json:"tls,omitzero"`
	// Locked says that there is a password, to a process that gets no password with it.
	Locked bool `json:"locked,omitempty"`
}

// Names of flags.
const (
	flagName     = "redis"
	passwordFlag = "redis-password"
	sentinelFlag = "redis-sentinel-password"
	prefixFlag   = "redis-prefix"
)

// At is the Redis at host:port or unix://PATH that asks for nothing, such as one of our own.
func At(addr string) Endpoint {
	if path, ok := strings.CutPrefix(addr, "unix://"); ok {
		return Endpoint{Socket: path}
	}
	return Endpoint{Hosts: []string{addr}}
}

// IsZero reports whether none is named.
func (e Endpoint) IsZero() bool { return len(e.Hosts) == 0 && e.Socket == "" }

// String is its address, without passwords.
func (e Endpoint) String() string {
	user := ""
	if e.User != "" {
		user = url.User(e.User).String() + "@"
	}
	db := ""
	if e.DB != 0 {
		db = "/" + strconv.Itoa(e.DB)
	}
	scheme := "redis"
	if e.TLS.On {
		scheme = "rediss"
	}
	switch {
	case e.IsZero():
		return ""
	case e.Socket != "":
		return "unix://" + user + e.Socket
	case e.Master != "":
		return scheme + "-sentinel://" + user + strings.Join(e.Hosts, ",") + "/" + url.PathEscape(e.Master) + db
	case user == "" && db == "" && !e.TLS.On:
		return e.Hosts[0]
	}
	return scheme + "://" + user + e.Hosts[0] + db
}

// LogValue implements slog.LogValuer.
func (e Endpoint) LogValue() slog.Value { return slog.StringValue(e.String()) }

// Flags defines --redis, whose default is addr, and what a Redis asks for that is
// not open to everybody. about is the usage of --redis.
func Flags(f *conf.Flags, e *Endpoint, addr, about string) {
	a := &conf.Address{Text: addr}
	f.Var(a, flagName, about+": `address` host:port, redis:// or rediss://[user@]host:port[/db] (TLS), unix:///path,\n"+
		"or redis-sentinel://[user@]sentinel:port,sentinel:port/master-name[/db]")
	f.StringVar(&e.User, "redis-user", "", "`name` of the user of Redis' ACL; empty = the default user")
	f.StringVar(&e.Prefix, prefixFlag, "", "`name` of this installation in a Redis that others use too: name| stands before all its keys and channels.\nAll services of an installation have the same; empty = nothing stands before them")
	f.Secret(&e.Password, passwordFlag, "the password of Redis")
	f.Secret(&e.Sentinel, sentinelFlag, "the password of the Sentinels")
	clienttls.Flags(f, &e.TLS, flagName, "Redis")
	f.Check(func() error {
		switch {
		case a.Text == "" && e.Prefix != "":
			return errors.New("--redis-prefix is for a Redis that --redis names: of our own nobody else has a part")
		case a.Text == "":
			return nil
		}
		return e.setAddress(a.Text)
	})
}

// setAddress adds what --redis holds to what the other flags have set.
func (e *Endpoint) setAddress(text string) error {
	at, err := parse(text)
	if err != nil {
		return err
	}
	own := e.Password.Text
	switch plain := strings.HasPrefix(text, "redis://") || strings.HasPrefix(text, "redis-sentinel://"); {
	case e.User != "" && at.User != "" && at.User != e.User:
		return fmt.Errorf("--redis names the user %q and --redis-user %q: keep one of them", at.User, e.User)
	case at.Password.Text.IsSet() && own.IsSet() && at.Password.Text.Reveal() != own.Reveal():
		return errors.New("the address of Redis and PULSEBOARD_REDIS_PASSWORD or --redis-password-file have two passwords: keep one of them")
	case e.TLS.Named() && plain:
		return errors.New("--redis-ca, --redis-cert and --redis-key are for TLS, and --redis is without: write rediss instead of redis there")
	}
	e.Hosts, e.Socket, e.Master, e.DB, e.User = at.Hosts, at.Socket, at.Master, at.DB, cmp.Or(e.User, at.User)
	if !own.IsSet() {
		e.Password = at.Password
	}
	e.TLS.On = at.TLS.On || e.TLS.Named() && e.Socket == ""
	return e.check()
}

func (e *Endpoint) check() error {
	switch {
	case !isPrefix(e.Prefix):
		return fmt.Errorf("--redis-prefix is %q: it must be 1 to %d characters of A-Z a-z 0-9 _ . -; the | behind it is put there", e.Prefix, maxPrefix)
	case e.User != "" && !e.Password.Text.IsSet():
		return fmt.Errorf("the user %q of Redis needs a password: name a file with --redis-password-file, or set PULSEBOARD_REDIS_PASSWORD", e.User)
	case e.Sentinel.Text.IsSet() && e.Master == "":
		return errors.New("--redis-sentinel-password-file is for redis-sentinel://…, which --redis is not")
	}
	e.Locked = e.Password.Text.IsSet()
	return e.TLS.Check(flagName)
}

// maxPrefix is how long a prefix may be.
const maxPrefix = 64

// isPrefix reports whether a text may stand before keys: no metric key can begin so.
func isPrefix(text string) bool {
	return len(text) <= maxPrefix && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '.' && r != '-'
	})
}

var errForm = errors.New("cannot read the address of Redis: --redis must be host:port, redis://[user@]host:port[/db], rediss://… with TLS, unix:///path, " +
	"or redis-sentinel://[user@]sentinel:port,sentinel:port/master-name[/db]; characters such as / @ : # in a user or password are written %2F %40 %3A %23")

// parse never quotes the text in its errors: it may hold a password.
func parse(text string) (e Endpoint, err error) {
	scheme, rest, isURL := strings.Cut(text, "://")
	if !isURL {
		if !isAddress(text) {
			return e, errForm
		}
		return Endpoint{Hosts: []string{text}}, nil
	}
	if who, after, ok := cutLast(rest, "@"); ok {
		// url.URL would refuse a list of hosts, so it gets the user and the password alone.
		u, err := url.Parse("redis://" + who + "@h")
		if err != nil || u.Host != "h" {
			return e, errForm
		}
		password, _ := u.User.Password()
		e.User, e.Password.Text, rest = u.User.Username(), secret.New(password), after
	}
	if strings.ContainsAny(rest, "?#") {
		return e, fmt.Errorf("the address of Redis must have no ? or #: it takes no options (%w)", errForm)
	}
	if scheme == "unix" {
		e.Socket = rest
		if !strings.HasPrefix(rest, "/") {
			return e, errForm
		}
		return e, nil
	}
	hosts, path, _ := strings.Cut(rest, "/")
	e.TLS.On = strings.HasPrefix(scheme, "rediss")
	switch scheme {
	case "redis", "rediss":
		e.Hosts = []string{withPort(hosts, "6379")}
	case "redis-sentinel", "rediss-sentinel":
		for host := range strings.SplitSeq(hosts, ",") {
			e.Hosts = append(e.Hosts, withPort(host, "26379"))
		}
		var master string
		master, path, _ = strings.Cut(path, "/")
		if e.Master, err = url.PathUnescape(master); err != nil || e.Master == "" {
			return e, errors.New("the address of the Sentinels has no name of a master: redis-sentinel://sentinel:port,sentinel:port/mymaster")
		}
	default:
		return e, errForm
	}
	for _, host := range e.Hosts {
		if !isAddress(host) {
			return e, errForm
		}
	}
	if path = strings.TrimSuffix(path, "/"); path != "" {
		if e.DB, err = strconv.Atoi(path); err != nil || e.DB < 0 {
			return e, errForm
		}
	}
	return e, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+len(sep):], true
}

func withPort(host, port string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

func isAddress(text string) bool {
	host, port, err := net.SplitHostPort(text)
	if err != nil || strings.ContainsAny(host, "@/ ") {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// Environ is the environment of a process that is given Arguments.
func (e Endpoint) Environ() []string {
	var out []string
	for name, s := range map[string]conf.Secret{passwordFlag: e.Password, sentinelFlag: e.Sentinel} {
		if s.Text.IsSet() && s.File == "" {
			out = append(out, conf.EnvName(name)+"="+s.Text.Reveal())
		}
	}
	return out
}

// Arguments are the flags of a process of ours that is to use the same Redis. They
// hold no password: those that stand in no file go by Environ.
func (e Endpoint) Arguments() []string {
	args := []string{"--" + flagName, e.String()}
	for _, a := range [][2]string{
		{passwordFlag + "-file", e.Password.File},
		{sentinelFlag + "-file", e.Sentinel.File},
		{flagName + "-ca", e.TLS.CA},
		{flagName + "-cert", e.TLS.Cert},
		{flagName + "-key", e.TLS.Key},
		{prefixFlag, e.Prefix},
	} {
		if a[1] != "" {
			args = append(args, "--"+a[0], a[1])
		}
	}
	return args
}

// Find gets the passwords in a process that got the Endpoint by JSON: from
// the files that it names, on this machine, else from the environment.
func (e *Endpoint) Find() error {
	if err := e.Password.Find(passwordFlag, os.Getenv); err != nil {
		return err
	}
	if err := e.Sentinel.Find(sentinelFlag, os.Getenv); err != nil {
		return err
	}
	if e.Locked && !e.Password.Text.IsSet() {
		//nolint:staticcheck // A name begins the text.
		return fmt.Errorf("Redis at %s asks for a password, which this process does not have: set PULSEBOARD_REDIS_PASSWORD where it runs, "+
			"or submit the job with --redis-password-file and the path of a file that is there", e)
	}
	return nil
}
