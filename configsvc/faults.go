package configsvc

import (
	"fmt"
	"strings"

	"pulseboard/internal/service"
)

// Codes of the errors in a problem document.
const (
	codeType      = "wrong_type"
	codeRequired  = "required"
	codeInvalid   = "invalid"
	codeRange     = "out_of_range"
	codeTooMany   = "too_many"
	codeDuplicate = "duplicate"
	codeImmutable = "immutable"
	codeBudget    = "budget"
	codeUnknown   = "unknown_field" // Where strict.
)

// faults collects all that is wrong with a document, rather than the first.
type faults struct {
	strict   bool // An unknown field is an error.
	errors   []service.ProblemError
	warnings []Warning
}

func (f *faults) add(at, code, format string, args ...any) {
	f.errors = append(f.errors, service.ProblemError{Pointer: at, Code: code, Detail: fmt.Sprintf(format, args...)})
}

func (f *faults) warn(at, format string, args ...any) {
	f.warnings = append(f.warnings, Warning{Pointer: at, Detail: fmt.Sprintf(format, args...)})
}

// under appends a member's name to a JSON pointer (RFC 6901).
func under(pointer, name string) string {
	return pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func underIndex(pointer string, i int) string { return fmt.Sprintf("%s/%d", pointer, i) }
