package secret

import (
	"regexp"
	"strings"
)

var (
	// A URL's user and password. A password that was not escaped may hold : / @ too, so all up to the last @ of the word counts.
	inURL = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s:/?#@"']*):[^\s"']*@`)
	// As libpq, JAAS and the queries of URLs write it.
	inWords = regexp.MustCompile(`(?i)\b((?:ssl|sentinel_?)?(?:password|passwd)\s*=\s*)('[^']*'|"[^"]*"|[^\s&;,"']+)`)
)

// Scrub takes the passwords out of addresses in a text, such as the error of a
// driver that quotes what it was given. It is the second belt: whoever has an
// address keeps its password apart, as a Text.
func Scrub(text string) string {
	// Most texts of a log have neither.
	if strings.Contains(text, "://") {
		text = inURL.ReplaceAllString(text, "${1}:"+Redacted+"@")
	}
	return inWords.ReplaceAllString(text, "${1}"+Redacted)
}

// Holds reports whether a text has an address with a password in it.
func Holds(text string) bool { return Scrub(text) != text }
