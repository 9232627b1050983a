package feeds

import (
	"fmt"
	"time"

	"pulseboard/wire"
)

// Results whose window end is further behind than this, beyond the query's
// delay, are late.
const lateAfter = 5 * time.Second

// staleAfter is how long no newer window end may arrive until values are stale.
func staleAfter(refreshMs, sliceMs, delayMs int64) time.Duration {
	return time.Duration(2*max(refreshMs, sliceMs)+1000+delayMs) * time.Millisecond
}

// stateDetail says why a widget is in a state, "" where the state says it all.
func stateDetail(s wire.State, stale time.Duration) string {
	switch s {
	case wire.StateWaiting:
		return "no event has matched yet"
	case wire.StateLate:
		return fmt.Sprintf("results come more than %v behind", lateAfter)
	case wire.StateStale:
		return fmt.Sprintf("no newer window for %.4g s", stale.Seconds())
	case wire.StateDegraded:
		return "Redis cannot be reached"
	case wire.StateLive, wire.StateLimited:
	}
	return ""
}
