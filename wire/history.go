package wire

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A history is a stream of Redis: the results of one metric key whose window ends are
// multiples of one refresh interval. The id of an entry is its window end, so that Redis
// itself refuses one that is there, or older than the newest; its only field is the result.

// HistoryLength is how many results a history holds, about: Redis trims it by whole nodes.
const HistoryLength = 600

// HistoryField is the field of an entry that holds the result.
const HistoryField = "r"

// HistoryPrefix begins the names of all histories.
const HistoryPrefix = "history:"

// HistoryName is the name of a metric key's history at one refresh interval.
func HistoryName(key string, refreshMs int64) string {
	return HistoryPrefix + key + "@" + strconv.FormatInt(refreshMs, 10)
}

// ParseHistoryName is the inverse of HistoryName; false when name is none.
func ParseHistoryName(name string) (key string, refreshMs int64, ok bool) {
	name, isHistory := strings.CutPrefix(name, HistoryPrefix)
	at := strings.LastIndexByte(name, '@')
	if !isHistory || at < 0 {
		return "", 0, false
	}
	refreshMs, err := strconv.ParseInt(name[at+1:], 10, 64)
	return name[:at], refreshMs, err == nil
}

// HistoryID is the id of the entry for a window end, epoch ms.
func HistoryID(end int64) string { return strconv.FormatInt(end, 10) + "-0" }

// ParseHistoryID is the inverse of HistoryID.
func ParseHistoryID(id string) (end int64, err error) {
	text, _, _ := strings.Cut(id, "-")
	if end, err = strconv.ParseInt(text, 10, 64); err != nil {
		return 0, fmt.Errorf("the id %q of an entry is no window end: %w", id, err)
	}
	return end, nil
}

// HistoryExpiry is how long a history outlives its last result.
func HistoryExpiry(refreshMs int64) time.Duration {
	return max(time.Hour, 1200*time.Duration(refreshMs)*time.Millisecond)
}
