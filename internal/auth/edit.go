package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/goccy/go-yaml"
)

const newFile = `# Tokens of Pulseboard: pulseboard token create, list and remove change this file, and so may
# you. Services read it again when it changes. It holds hashes, never the tokens themselves.
tokens:
`

// YAML returns the entry as an item of the list in a tokens file.
func (e Entry) YAML() string { return e.yaml("  ") }

func (e Entry) yaml(indent string) string {
	name, _ := yaml.Marshal(e.Name) // A text can always be encoded; digits alone come in quotes.
	text := fmt.Sprintf("- name: %s\n  scopes: [%s]\n  hash: %s\n", strings.TrimSpace(string(name)), joined(e.Scopes), e.Hash)
	if !e.Expires.IsZero() {
		text += "  expires: " + e.Expires.UTC().Format(time.RFC3339Nano) + "\n"
	}
	return indent + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+indent) + "\n"
}

// Add appends an entry to a tokens file, which is made when it is not there.
// Whatever else stands in it stays as it is.
func Add(path string, e Entry) error {
	if !e.Expires.IsZero() {
		e.Expires = e.Expires.UTC().Truncate(time.Second)
	}
	return edit(path, func(text string, entries []Entry) (string, []Entry, error) {
		for _, other := range entries {
			if other.Name == e.Name {
				return "", nil, fmt.Errorf("the tokens file %s has a token %q already: take another name, or remove it first", path, e.Name)
			}
		}
		return appended(text, e), append(slices.Clone(entries), e), nil
	})
}

// Remove takes the entry with a name out of a tokens file. The last one stays:
// a service that finds a file without tokens would keep those from before.
func Remove(path, name string) error {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("cannot read the tokens file: %w", err)
	}
	return edit(path, func(text string, entries []Entry) (string, []Entry, error) {
		i := slices.IndexFunc(entries, func(e Entry) bool { return e.Name == name })
		switch {
		case i < 0:
			return "", nil, fmt.Errorf("the tokens file %s has no token %q: pulseboard token list shows what there is", path, name)
		case len(entries) == 1:
			return "", nil, fmt.Errorf("%q is the only token of %s: services take a file without tokens for a mistake and would keep it in force; make another token first, or end the services", name, path)
		}
		return without(text, i), slices.Delete(slices.Clone(entries), i, i+1), nil
	})
}

var (
	item      = regexp.MustCompile(`^( *)-(?: |$)`)
	emptyList = regexp.MustCompile(`(?m)^tokens:[ \t]*\[[ \t]*\][ \t]*$`)
)

func appended(text string, e Entry) string {
	if strings.TrimSpace(text) == "" {
		return newFile + e.YAML()
	}
	text = emptyList.ReplaceAllString(strings.TrimRight(text, " \t\r\n")+"\n", "tokens:")
	if starts := items(text); len(starts) > 0 {
		return text + e.yaml(item.FindStringSubmatch(lines(text)[starts[0]])[1])
	}
	return text + e.YAML()
}

func lines(text string) []string { return strings.SplitAfter(text, "\n") }

// items returns the lines where the items of the list begin.
func items(text string) (starts []int) {
	indent := ""
	for i, line := range lines(text) {
		m := item.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		if m == nil || len(starts) > 0 && m[1] != indent {
			continue
		}
		indent = m[1]
		starts = append(starts, i)
	}
	return starts
}

// without takes out item i. Comments above the next item are that item's.
func without(text string, i int) string {
	all, starts := lines(text), items(text)
	if i >= len(starts) {
		return text // It is written in another form, which edit finds out.
	}
	end := len(all)
	if i+1 < len(starts) {
		end = starts[i+1]
	}
	for end > starts[i]+1 {
		if line := strings.TrimSpace(all[end-1]); line != "" && line[0] != '#' {
			break
		}
		end--
	}
	return strings.Join(slices.Delete(all, starts[i], end), "")
}

// edit changes a tokens file in one step, one process after the other. The new
// text must say what it should: a file in a form that change does not know is
// left as it is.
func edit(path string, change func(text string, entries []Entry) (string, []Entry, error)) error {
	target, err := filepath.EvalSymlinks(path) // What a link leads to is changed, not the link.
	if errors.Is(err, fs.ErrNotExist) {
		target, err = path, nil
	}
	if err != nil {
		return fmt.Errorf("cannot read the tokens file: %w", err)
	}
	unlock, err := lockFolder(filepath.Dir(target))
	if err != nil {
		return err
	}
	defer unlock()
	text, err := readFile(target)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, err := Parse(text)
	if err != nil {
		return fmt.Errorf("cannot change the tokens file %s: %w", path, err)
	}
	next, want, err := change(text, entries)
	if err != nil {
		return err
	}
	if got, err := Parse(next); err != nil || !reflect.DeepEqual(got, want) {
		return fmt.Errorf("cannot change the tokens file %s without writing it anew: put each token on lines of its own, beginning with \"- name:\", or change it by hand", path)
	}
	return replace(target, next)
}

// lockFolder keeps a second process from changing the file at the same time. The
// folder is locked, because the file is replaced. The lock ends with the process.
func lockFolder(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot use the folder of the tokens file: %w; make it first", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("cannot lock the folder %s: %w", dir, err)
	}
	return func() { _ = f.Close() }, nil
}

// replace writes a file so that every reader sees the old one or the new one,
// whole. Mode and owner stay; a new file is its owner's alone.
func replace(path, text string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot write the tokens file %s: %w", path, err)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), ".tokens-*") // Mode 0600.
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // Renamed, unless something failed.
	if before, err := os.Stat(path); err == nil {
		if err := f.Chmod(before.Mode().Perm()); err != nil {
			return errors.Join(err, f.Close())
		}
		if owner, ok := before.Sys().(*syscall.Stat_t); ok {
			_ = f.Chown(int(owner.Uid), int(owner.Gid)) // Only root can give it to another.
		}
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
