package metric

import "fmt"

// Limits of names, tags and values (docs/protocol.md, "POST /ingest").
const (
	MaxName     = 200
	MaxTags     = 16
	MaxTagKey   = 64
	MaxTagValue = 256
)

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// ValidateName checks a metric name: 1–200 characters of [A-Za-z0-9_.:/-], first a letter or _.
func ValidateName(name string) error {
	if ValidName(name) {
		return nil
	}
	return fmt.Errorf("metric_name %.220q must have 1 to %d characters of A-Z a-z 0-9 _ . : / - and begin with a letter or _", name, MaxName)
}

// ValidName reports whether ValidateName finds nothing.
func ValidName[S string | []byte](name S) bool {
	if len(name) == 0 || len(name) > MaxName || !isLetter(name[0]) && name[0] != '_' {
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

// ValidateTagKey checks a tag's key: 1–64 characters of [A-Za-z0-9_.-].
func ValidateTagKey(key string) error {
	if ValidTagKey(key) {
		return nil
	}
	return fmt.Errorf("tag key %.80q must have 1 to %d characters of A-Z a-z 0-9 _ . -", key, MaxTagKey)
}

// ValidTagKey reports whether ValidateTagKey finds nothing.
func ValidTagKey[S string | []byte](key S) bool {
	if len(key) == 0 || len(key) > MaxTagKey {
		return false
	}
	for i := range len(key) {
		switch c := key[i]; {
		case isLetter(c), isDigit(c), c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return true
}
