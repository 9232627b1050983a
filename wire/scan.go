package wire

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// What the readers of this package have in common. The functions with an index read what stands there and return
// where it ends, -1 when it is none of theirs.

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func skipSpace[T string | []byte](text T, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\n' || text[i] == '\r' || text[i] == '\t') {
		i++
	}
	return i
}

// stringEnd returns where the string at i ends. plain means that it is printable ASCII without escapes: then it
// stands for what is between its quotes.
func stringEnd[T string | []byte](text T, i int) (end int, plain bool) {
	if i >= len(text) || text[i] != '"' {
		return -1, false
	}
	plain = true
	for i++; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return i + 1, plain
		case c == '\\':
			plain = false
			i++ // A quote after it does not end the string.
		case c < ' ' || c >= 0x7f:
			plain = false
		}
	}
	return -1, false
}

// closed returns where the list or object ends that i is in.
func closed[T string | []byte](text T, i int) int {
	for depth := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			end, _ := stringEnd(text, i)
			if end < 0 {
				return -1
			}
			i = end - 1
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// plainEnd returns where the number, true, false or null at i ends.
func plainEnd[T string | []byte](text T, i int) int {
	for ; i < len(text); i++ {
		switch text[i] {
		case ',', ']', '}', ':', '"', '[', '{', ' ', '\t', '\n', '\r':
			return i
		}
	}
	return i
}

func numberEnd[T string | []byte](text T, i int) int {
	digits := func() bool {
		begin := i
		for i < len(text) && isDigit(text[i]) {
			i++
		}
		return i > begin
	}
	if i < len(text) && text[i] == '-' {
		i++
	}
	first := i
	if !digits() || i-first > 1 && text[first] == '0' {
		return -1
	}
	if i < len(text) && text[i] == '.' {
		if i++; !digits() {
			return -1
		}
	}
	if i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		if i++; i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		if !digits() {
			return -1
		}
	}
	return i
}

var (
	errEnds  = errors.New("the text ends early")
	errWhole = errors.New("not a whole number")
)

// scanner goes over JSON. After the first thing that is not as expected it has an error, and whatever it returns
// means nothing. What it skips is trusted to be JSON.
type scanner[T string | []byte] struct {
	text T
	i    int
	err  error
}

func (s *scanner[T]) fail(err error) {
	if s.err == nil {
		s.err = fmt.Errorf("at byte %d: %w", s.i, err)
	}
	s.i = len(s.text)
}

// peek goes to the next byte that is no white space and returns it, 0 at the end.
func (s *scanner[T]) peek() byte {
	if s.i = skipSpace(s.text, s.i); s.i == len(s.text) {
		return 0
	}
	return s.text[s.i]
}

// take goes past c.
func (s *scanner[T]) take(c byte) {
	switch got := s.peek(); got {
	case c:
		s.i++
	case 0:
		s.fail(errEnds)
	default:
		s.fail(fmt.Errorf("%q instead of %q", got, c))
	}
}

// next reports whether a text is next, without white space before it, and goes past it.
func (s *scanner[T]) next(want string) bool {
	end := s.i + len(want)
	if end > len(s.text) || string(s.text[s.i:end]) != want {
		return false
	}
	s.i = end
	return true
}

// literal goes past a text that must be next.
func (s *scanner[T]) literal(want string) *scanner[T] {
	if !s.next(want) {
		s.fail(errors.New(want + " is missing"))
	}
	return s
}

// more reports whether a list or an object has an item i, and goes to it, or past the end.
func (s *scanner[T]) more(i int, end byte) bool {
	switch {
	case s.err != nil:
		return false
	case s.peek() == end:
		s.i++
		return false
	case i > 0:
		s.take(',')
	}
	return s.err == nil
}

// quoted reads a string as it stands, with its quotes; plain as of stringEnd.
func (s *scanner[T]) quoted() (text T, plain bool) {
	s.peek()
	end, plain := stringEnd(s.text, s.i)
	if end < 0 {
		if s.take('"'); s.err == nil {
			s.fail(errEnds)
		}
		return text, false
	}
	text, s.i = s.text[s.i:end], end
	return text, plain
}

// unquoted reads a string. What it returns is a part of the text unless it has escapes. What is no Unicode is an error.
func (s *scanner[T]) unquoted() T {
	quoted, plain := s.quoted()
	if plain {
		return quoted[1 : len(quoted)-1]
	}
	if s.err != nil {
		return quoted
	}
	var space [128]byte // Enough for nearly all.
	text, err := jsontext.AppendUnquote(space[:0], quoted)
	if err != nil {
		s.fail(err)
	}
	return T(text)
}

// integer reads a whole number of at most 18 digits: all of them fit.
func (s *scanner[T]) integer() (v int64) {
	i := skipSpace(s.text, s.i)
	minus := i < len(s.text) && s.text[i] == '-'
	if minus {
		i++
	}
	begin := i
	for i < len(s.text) && isDigit(s.text[i]) && i-begin < 18 {
		v = v*10 + int64(s.text[i]-'0')
		i++
	}
	if s.i = i; i == begin || i-begin > 1 && s.text[begin] == '0' || i < len(s.text) && goesOn(s.text[i]) {
		s.fail(errWhole)
		return 0
	}
	if minus {
		return -v
	}
	return v
}

// goesOn reports whether a number has c after its first digits.
func goesOn(c byte) bool { return isDigit(c) || c == '.' || c == 'e' || c == 'E' }

// number reads a whole number that may count or index something.
func (s *scanner[T]) number() int {
	v := s.integer()
	if v < 0 || v > math.MaxInt32 {
		s.fail(fmt.Errorf("%d is out of range", v))
	}
	return int(v)
}

// float reads any number.
func (s *scanner[T]) float() float64 {
	end := numberEnd(s.text, s.i)
	if end < 0 {
		s.fail(errors.New("not a number"))
		return 0
	}
	v, err := strconv.ParseFloat(string(s.text[s.i:end]), 64)
	if s.i = end; err != nil {
		s.fail(err)
	}
	return v
}

func (s *scanner[T]) null() bool {
	s.peek()
	return s.next("null")
}

func (s *scanner[T]) boolean() bool {
	s.peek()
	is := s.next("true")
	if !is && !s.next("false") {
		s.fail(errors.New("neither true nor false"))
	}
	return is
}

// value skips any value and returns it.
func (s *scanner[T]) value() T {
	c := s.peek()
	begin := s.i
	switch c {
	case 0:
		s.fail(errEnds)
	case '"':
		end, _ := stringEnd(s.text, s.i)
		s.to(end)
	case '[', '{':
		s.to(closed(s.text, s.i+1))
	case ']', '}', ',', ':':
		s.fail(errors.New("a value is missing"))
	default:
		s.i = plainEnd(s.text, s.i)
	}
	return s.text[min(begin, s.i):s.i]
}

// leave goes past the end of the list or object that it is in.
func (s *scanner[T]) leave() { s.to(closed(s.text, s.i)) }

func (s *scanner[T]) to(end int) {
	if end < 0 {
		s.fail(errEnds)
		return
	}
	s.i = end
}
