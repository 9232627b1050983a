package embedded

import (
	"os"
	"slices"
	"strings"
)

// Environ is the environment of this process without our own variables, some of
// which hold passwords, and with others. It is what children get that ask for nothing else.
func Environ(with ...string) []string {
	return append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PULSEBOARD_") }), with...)
}
