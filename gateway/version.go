package gateway

import (
	"hash/fnv"
	"strconv"

	"pulseboard/metric"
)

// unionVersion names the list that begins like l and has these series more. The
// prefix keeps it apart from the versions that the pipeline gives.
func unionVersion(l *seriesList, more []metric.Tags) string {
	h := fnv.New64a()
	// A hash takes any bytes.
	_, _ = h.Write([]byte(l.version))
	var key []byte
	for _, t := range more {
		key = t.AppendKey(key[:0])
		_, _ = h.Write(key)
	}
	return "u" + strconv.FormatUint(h.Sum64(), 36)
}
