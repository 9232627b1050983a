package metric

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"unicode/utf8"
)

// cutTag is the tag that stands for those beyond MaxTags.
const cutTag = "_cut"

// Fit returns valid UTF-8 tags, sorted by key, within the limits, and whether something had to be cut for that: long keys and
// values end in a hash of the whole, and the tags beyond MaxTags, the last by their keys, become one with a hash of them. So
// different tags stay different, but for keys that hold a control character or are there twice: those stay as they are, for
// CheckTags to find.
func (t Tags) Fit() (fitting Tags, cut bool) {
	for i := range t {
		if utf8.RuneCountInString(t[i].Key) > MaxTagKey || len(t[i].Value) > MaxTagValue {
			if !cut {
				t, cut = slices.Clone(t), true
			}
			t[i].Key = shorten(t[i].Key, utf8.RuneCountInString(t[i].Key), MaxTagKey)
			t[i].Value = shorten(t[i].Value, len(t[i].Value), MaxTagValue)
		}
	}
	if cut {
		slices.SortStableFunc(t, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	}
	if len(t) > MaxTags {
		rest := Tag{cutTag, hash(string(t[MaxTags-1:].AppendKey(nil)))}
		t, cut = append(slices.Clone(t[:MaxTags-1]), rest), true
		slices.SortStableFunc(t, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	}
	return t, cut
}

// shorten cuts a text that is longer than most to as many bytes at most, at the border of a character, and ends it in a hash of the whole.
func shorten(text string, length, most int) string {
	if length <= most {
		return text
	}
	sum := hash(text)
	end := most - len(sum) - len("~")
	for ; !utf8.RuneStart(text[end]); end-- {
	}
	return text[:end] + "~" + sum
}

func hash(text string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // Never fails.
	return fmt.Sprintf("%016x", h.Sum64())
}
