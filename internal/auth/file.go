package auth

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"

	"pulseboard/internal/secret"
)

// Entry is one token of the file.
type Entry struct {
	Name    string
	Scopes  []Scope
	Hash    Digest
	Expires time.Time // Zero = never.
}

func (e Entry) allows(need Scope) bool {
	return slices.ContainsFunc(e.Scopes, func(s Scope) bool { return s.includes(need) })
}

func (e Entry) expired(now time.Time) bool { return !e.Expires.IsZero() && !now.Before(e.Expires) }

// Names are short and plain: they stand in logs, answers and close frames.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$`)

// CheckName says what is wrong with the name of a token.
func CheckName(name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("the name %.80q must be 1 to 64 of letters, digits and _ . @ - and begin with a letter or digit", name)
	}
	return nil
}

// maxFile bounds what is read: some thousand tokens.
const maxFile = 1 << 20

// readFile returns the text of a tokens file, "" when it is there and empty.
func readFile(path string) (string, error) {
	b, err := secret.Read(path, maxFile)
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot read the tokens file: %w", err)
	case len(b) > maxFile:
		return "", fmt.Errorf("the tokens file %s has more than %d bytes: take out the tokens that nobody uses", path, maxFile)
	}
	return string(b), nil
}

// ReadFile returns the tokens of a file. A file without one is an error: it would
// lock everybody out, and is a file cut short or not yet written.
func ReadFile(path string) ([]Entry, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parseFile(path, text)
}

func parseFile(path, text string) ([]Entry, error) {
	entries, err := Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot use the tokens file %s: %w", path, err)
	case len(entries) == 0:
		return nil, fmt.Errorf("the tokens file %s has no token: make one with pulseboard token create --name NAME --scopes SCOPES --file %s", path, path)
	}
	return entries, nil
}

// Parse reads the text of a tokens file. Nothing is passed over: a scope with a
// typing error would be a token that does not work, found out much later. The
// error is one line and names all entries that are wrong; it never holds a hash.
func Parse(text string) ([]Entry, error) {
	tree, err := parser.ParseBytes([]byte(text), 0)
	if err != nil {
		return nil, syntaxError(err)
	}
	if len(tree.Docs) > 1 {
		return nil, errors.New("it has more than one YAML document: keep all tokens in one list, and take out the lines ---")
	}
	var document struct {
		Tokens []map[string]any `yaml:"tokens"`
	}
	if err := yaml.UnmarshalWithOptions([]byte(text), &document, yaml.DisallowUnknownField()); err != nil {
		return nil, syntaxError(err)
	}
	var entries []Entry
	var faults []string
	names, hashes := map[string]int{}, map[Digest]int{}
	for i, fields := range document.Tokens {
		e, err := parseEntry(fields)
		if err == nil {
			err = twice(e, i+1, names, hashes)
		}
		if err != nil {
			faults = append(faults, fmt.Sprintf("%s: %v", label(i, fields), err))
			continue
		}
		entries = append(entries, e)
	}
	if len(faults) > 0 {
		return nil, errors.New(strings.Join(faults, "; "))
	}
	return entries, nil
}

// syntaxError leaves out the source, which the library would show: it may hold a secret.
func syntaxError(err error) error {
	return fmt.Errorf("it is not YAML of the form tokens: [{name, scopes, hash, expires}]: %s", strings.ReplaceAll(yaml.FormatError(err, false, false), "\n", " "))
}

// label names an entry as its reader finds it.
func label(i int, fields map[string]any) string {
	if name, ok := fields["name"].(string); ok {
		return fmt.Sprintf("token %d (%.64q)", i+1, name)
	}
	return fmt.Sprintf("token %d", i+1)
}

func parseEntry(fields map[string]any) (e Entry, err error) {
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		switch key {
		case "name", "scopes", "hash", "expires":
		default:
			return e, fmt.Errorf("the field %.40q is unknown: a token has name, scopes, hash and expires", key)
		}
	}
	name, ok := fields["name"].(string)
	if !ok {
		return e, errors.New("it needs a name, a text (put digits alone in quotes)")
	}
	if err := CheckName(name); err != nil {
		return e, err
	}
	list, ok := fields["scopes"].([]any)
	if !ok {
		return e, errors.New("it needs scopes, a list such as [view]")
	}
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = fmt.Sprint(s) // What is no text is no scope either.
	}
	allowed, err := ParseScopes(texts)
	if err != nil {
		return e, err
	}
	hash, ok := fields["hash"].(string)
	if !ok {
		return e, errors.New("it needs a hash, as pulseboard token create writes it")
	}
	digest, err := parseDigest(hash)
	if err != nil {
		return e, err
	}
	e = Entry{Name: name, Scopes: allowed, Hash: digest}
	if at, ok := fields["expires"]; ok {
		e.Expires, err = time.Parse(time.RFC3339, fmt.Sprint(at))
		if err != nil {
			return e, fmt.Errorf("expires is %.40q: it must be a time such as 2027-01-31T00:00:00Z, or absent", fmt.Sprint(at))
		}
	}
	return e, nil
}

// twice refuses what two entries share: which of them counts would be chance.
func twice(e Entry, i int, names map[string]int, hashes map[Digest]int) error {
	if other := names[e.Name]; other > 0 {
		return fmt.Errorf("token %d has the same name: give one of them another", other)
	}
	if other := hashes[e.Hash]; other > 0 {
		return fmt.Errorf("token %d has the same hash, so it is the same token: keep one of them", other)
	}
	names[e.Name], hashes[e.Hash] = i, i
	return nil
}
