// Package secret holds passwords and tokens in a form that cannot be printed by
// mistake: the text comes out by Reveal alone.
package secret

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// Text is a password or a token. It prints, logs and encodes as Redacted; the
// zero Text is that there is none.
//
// The value lies behind a pointer: fmt calls no methods on fields that are not
// exported, and of a pointer within a struct it prints the address.
type Text struct{ value *string }

// Redacted is what a Text prints as.
const Redacted = "[secret]"

// New returns s as a Text; "" is none.
func New(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{&s}
}

// Reveal returns the value, "" when there is none. It is for whoever sends it to
// where it is asked for.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// IsSet reports whether there is one.
func (t Text) IsSet() bool { return t.value != nil }

// String returns Redacted, "" when there is none.
func (t Text) String() string {
	if t.value == nil {
		return ""
	}
	return Redacted
}

// GoString implements fmt.GoStringer.
func (t Text) GoString() string { return fmt.Sprintf("%q", t.String()) }

// Format implements fmt.Formatter, for the verbs that do not ask for a String.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue implements slog.LogValuer.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText implements encoding.TextMarshaler, and so for JSON and YAML.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// maxFile bounds what is read of a file.
const maxFile = 64 << 10

// ReadFile reads a file that holds one secret in one line, whose end does not count.
func ReadFile(path string) (Text, error) {
	b, err := Read(path, maxFile)
	if err != nil {
		return Text{}, err
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if text == "" || len(b) > maxFile || strings.ContainsAny(text, "\r\n\x00") {
		return Text{}, fmt.Errorf("%s must hold the secret alone, in one line", path)
	}
	return New(text), nil
}

// Read returns what a file holds, one byte beyond limit at most. It refuses a file that
// every user of this machine can write or replace.
func Read(path string, limit int64) ([]byte, error) {
	if err := checkFile(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // It was only read.
	return io.ReadAll(io.LimitReader(f, limit+1))
}

func checkFile(path string) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("every user of this machine can write %s, so it is not trusted: chmod o-w it, and look whether it is as you left it", path)
	}
	for _, dir := range []string{filepath.Dir(target), filepath.Dir(path)} {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o002 != 0 && info.Mode()&os.ModeSticky == 0 {
			return fmt.Errorf("every user of this machine can replace %s, so it is not trusted: chmod o-w the folder %s, and look whether the file is as you left it", path, dir)
		}
	}
	return nil
}
