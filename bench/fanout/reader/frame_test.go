package reader

import (
	"bytes"
	"strings"
	"testing"
)

func TestParseFrame(t *testing.T) {
	for name, c := range map[string]struct {
		bytes []byte
		want  header
		ok    bool
		fault string
	}{
		"short":                     {served(opText, []byte("abc")), header{true, opText, 2, 3}, true, ""},
		"125 bytes fit the first":   {served(opPong, make([]byte, 125)), header{true, opPong, 2, 125}, true, ""},
		"126 bytes need two more":   {served(opText, make([]byte, 126)), header{true, opText, 4, 126}, true, ""},
		"65535 bytes still fit":     {served(opText, make([]byte, 1<<16-1)), header{true, opText, 4, 1<<16 - 1}, true, ""},
		"65536 bytes need eight":    {served(opBinary, make([]byte, 1<<16)), header{true, opBinary, 10, 1 << 16}, true, ""},
		"the first of several":      {[]byte{0x01, 3}, header{false, opText, 2, 3}, true, ""},
		"the last of several":       {[]byte{0x80, 3}, header{true, opContinuation, 2, 3}, true, ""},
		"one byte is not enough":    {[]byte{0x81}, header{}, false, ""},
		"nor is a part of a length": {[]byte{0x81, 126, 1}, header{}, false, ""},
		"nor is a part of a longer": {[]byte{0x81, 127, 0, 0, 0}, header{}, false, ""},
		"compressed":                {[]byte{0xc1, 3}, header{}, false, "compression"},
		"masked":                    {[]byte{0x81, 0x83}, header{}, false, "masked"},
		"an unknown opcode":         {[]byte{0x83, 0}, header{}, false, "opcode 3"},
		"an unknown control frame":  {[]byte{0x8b, 0}, header{}, false, "opcode 11"},
		"a long control frame":      {[]byte{0x89, 126, 0, 0x80}, header{}, false, "control"},
		"a control frame in two":    {[]byte{0x09, 0}, header{}, false, "control"},
		"longer than anything":      {[]byte{0x81, 127, 0xff, 0, 0, 0, 0, 0, 0, 0}, header{}, false, "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok, err := parseFrame(c.bytes)
			if ok != c.ok || ok && got != c.want || (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%+v, %v, %v; want %+v, %v, %q", got, ok, err, c.want, c.ok, c.fault)
			}
		})
	}
}

// What appendFrame writes is, but for the mask, what a server would write.
func TestAppendFrame(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 1<<16 - 1, 1 << 16} {
		payload := bytes.Repeat([]byte{0, 1, 2, 0xff, 0x80}, n/5+1)[:n]
		got := appendFrame([]byte("before"), opText, payload)
		got, ok := bytes.CutPrefix(got, []byte("before"))
		if !ok || got[1]&0x80 == 0 {
			t.Fatalf("%d bytes: the prefix is gone, or it is not masked", n)
		}
		got[1] &^= 0x80
		h, ok, err := parseFrame(got)
		if err != nil || !ok || h != (header{true, opText, h.Size, int64(n)}) {
			t.Fatalf("%d bytes: %+v, %v, %v", n, h, ok, err)
		}
		mask, text := got[h.Size:h.Size+4], got[h.Size+4:]
		for i := range text {
			text[i] ^= mask[i%4]
		}
		if !bytes.Equal(text, payload) {
			t.Errorf("%d bytes come out as %d others", n, len(text))
		}
	}
}
