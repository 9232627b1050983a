package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pulseboard/internal/secret"
)

const hidden = "hunter-2-hidden"

// However a secret is printed, within whatever, its text is not there.
func TestTextIsNotPrinted(t *testing.T) {
	type open struct{ Password secret.Text }
	type shut struct{ password secret.Text }
	type deep struct {
		in  map[string][]shut
		ptr *open
	}
	text := secret.New(hidden)
	for _, v := range []any{
		text, &text,
		open{text},
		&open{text},
		shut{text},
		&shut{text},
		[]secret.Text{text},
		map[string]secret.Text{"a": text},
		deep{map[string][]shut{"a": {{text}}}, &open{text}},
		fmt.Errorf("wrong: %v", text),
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T %v"} {
			if out := fmt.Sprintf(verb, v, v); strings.Contains(out, hidden) || strings.Contains(out, fmt.Sprintf("%x", hidden)) {
				t.Errorf("%s of %T is %s", verb, v, out)
			}
		}
		b, err := json.Marshal(v)
		if err != nil || bytes.Contains(b, []byte(hidden)) {
			t.Errorf("JSON of %T is %s %v", v, b, err)
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		if strings.Contains(log.String(), hidden) {
			t.Errorf("the log of %T is %s", v, log.String())
		}
	}
	if text.Reveal() != hidden || !text.IsSet() || secret.New("").IsSet() {
		t.Error("what was put in does not come out")
	}
}

func TestScrub(t *testing.T) {
	for _, text := range []string{
		"redis://:" + hidden + "@h:6379", "rediss://u:" + hidden + "@h:6379/2", "postgres://u:" + hidden + "@h/db?sslmode=disable",
		"redis://:a/" + hidden + "@h", "redis://u:a@" + hidden + "@h:1", "redis-sentinel://:" + hidden + "@a:1,b:2/m",
		`cannot parse "postgres://u:` + hidden + `@h:x/db": invalid port`, "host=h user=u password=" + hidden + " dbname=d",
		"host=h password = '" + hidden + " x' dbname=d", "postgres://h/db?user=u&password=" + hidden + "&x=1", "postgres://h/db?sslpassword=" + hidden,
		`plain required username="u" password="` + hidden + `";`, "http://u:" + hidden + "@h/write",
	} {
		if out := secret.Scrub(text); strings.Contains(out, hidden) {
			t.Errorf("%s becomes %s", text, out)
		}
		if !secret.Holds(text) {
			t.Errorf("%s is said to hold nothing", text)
		}
	}
	for _, text := range []string{
		"redis://h:6379", "redis://user@h:6379/2", "http://127.0.0.1:8080", "http://a:1,http://b:2", "unix:///tmp/x@y", "me@example.org",
		"api.latency:avg:60s{host=a} by (password)", "cannot reach Kafka at h:9092: i/o timeout",
	} {
		if out := secret.Scrub(text); out != text || secret.Holds(text) {
			t.Errorf("%s becomes %s", text, out)
		}
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, text := range map[string]string{"bare": hidden, "line": hidden + "\n", "windows": hidden + "\r\n"} {
		got, err := secret.ReadFile(file(name, text, 0o400))
		if err != nil || got.Reveal() != hidden {
			t.Errorf("%s: %q, %v", name, got.Reveal(), err)
		}
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	inOpen := file("open/p", hidden, 0o600)
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(inOpen, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file("empty", "\n", 0o600):         "must hold the secret alone",
		file("two", hidden+"\nb\n", 0o600): "must hold the secret alone",
		file("writable", hidden, 0o602):    "every user of this machine can write",
		inOpen:                             "every user of this machine can replace",
		link:                               "every user of this machine can replace",
		filepath.Join(dir, "none"):         "no such file",
		dir:                                "is a directory",
		file("large", strings.Repeat("x", 1e5), 0o600): "must hold the secret alone",
	} {
		if _, err := secret.ReadFile(path); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
