package statsd

import (
	"math"
	"strconv"
)

// number reads a decimal number: an optional sign, digits with or without a point, and an exponent. It is the
// nearest float, and infinite beyond the largest one.
func number(text []byte) (v float64, ok bool) {
	if v, ok = quickNumber(text); ok {
		return v, true
	}
	for _, c := range text {
		if (c < '0' || c > '9') && c != '+' && c != '-' && c != '.' && c != 'e' && c != 'E' {
			return 0, false // ParseFloat takes names such as NaN, and hexadecimal digits.
		}
	}
	v, err := strconv.ParseFloat(string(text), 64)
	return v, err == nil || math.IsInf(v, 0)
}

// quickDigits is how many decimal digits a float holds exactly, whichever they are.
const quickDigits = 15

// quickNumber reads a number of a few digits without an exponent, as nearly all are. The digits, and the power of ten that
// divides them, are floats without an error, so the quotient is the nearest float.
func quickNumber(text []byte) (float64, bool) {
	first := 0
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		first = 1
	}
	digits, all, behind := int64(0), 0, -1 // All digits, and those behind the point.
	for _, c := range text[first:] {
		switch {
		case c >= '0' && c <= '9' && all < quickDigits:
			digits = 10*digits + int64(c-'0')
			all++
			if behind >= 0 {
				behind++
			}
		case c == '.' && behind < 0:
			behind = 0
		default:
			return 0, false
		}
	}
	if all == 0 {
		return 0, false
	}
	v := float64(digits)
	if behind > 0 {
		v /= math.Pow10(behind)
	}
	if text[0] == '-' {
		v = -v
	}
	return v, true
}
