package metric

import (
	"fmt"
	"unicode/utf8"
)

// Limits of names, tags and values (docs/protocol.md, "POST /ingest"): characters of names and keys, bytes of values.
const (
	MaxName     = 200
	MaxTags     = 64
	MaxTagKey   = 64
	MaxTagValue = 1024
)

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// ValidateName checks a metric name: 1–200 characters of UTF-8, none of them a control character.
func ValidateName(name string) error {
	if ValidName(name) {
		return nil
	}
	return fmt.Errorf("metric_name %.220q must have 1 to %d characters of UTF-8, none of them a control character", name, MaxName)
}

// ValidName reports whether ValidateName finds nothing.
func ValidName[S string | []byte](name S) bool { return isText(name, MaxName) }

// ValidateTagKey checks a tag's key: 1–64 characters of UTF-8, none of them a control character.
func ValidateTagKey(key string) error {
	if ValidTagKey(key) {
		return nil
	}
	return fmt.Errorf("tag key %.80q must have 1 to %d characters of UTF-8, none of them a control character", key, MaxTagKey)
}

// ValidTagKey reports whether ValidateTagKey finds nothing.
func ValidTagKey[S string | []byte](key S) bool { return isText(key, MaxTagKey) }

// isText reports whether s has 1 to most characters of UTF-8 without control characters, which no log, page or metric key
// could show.
func isText[S string | []byte](s S, most int) bool {
	ascii := true
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	if ascii {
		return len(s) > 0 && len(s) <= most
	}
	n := 0
	for _, r := range string(s) {
		if n++; n > most || r >= 0x80 && r < 0xa0 || r == utf8.RuneError && !utf8.ValidString(string(s)) {
			return false
		}
	}
	return true
}

// isBareName reports whether a name stands in a metric key as it is; others stand there as JSON strings.
func isBareName(name string) bool {
	if name == "" || !isLetter(name[0]) && name[0] != '_' {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case isLetter(c), isDigit(c), c == '_', c == '.', c == ':', c == '/', c == '-':
		default:
			return false
		}
	}
	return true
}

// isBareKey reports the same of a tag's key.
func isBareKey(key string) bool { return key != "" && bareKeyBytes(key) == len(key) }

// bareKeyBytes is how long the bare key is that s begins with.
func bareKeyBytes(s string) int {
	for i := range len(s) {
		switch c := s[i]; {
		case isLetter(c), isDigit(c), c == '_', c == '.', c == '-':
		default:
			return i
		}
	}
	return len(s)
}

// nameText is how a name stands in a metric key.
func nameText(name string) string {
	if isBareName(name) {
		return name
	}
	return quote(name)
}

// keyText is how a tag's key stands there.
func keyText(key string) string {
	if isBareKey(key) {
		return key
	}
	return quote(key)
}
