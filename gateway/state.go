package gateway

import (
	"fmt"
	"time"
)

// state is what a widget may claim (protocol.md, "States").
type state string

const (
	stateWaiting  state = "waiting"
	stateLive     state = "live"
	stateLate     state = "late"
	stateStale    state = "stale"
	stateDegraded state = "degraded"
	stateLimited  state = "limited" // It is beyond a budget and not computed.
)

// Results whose window end is further behind than this, beyond the query's
// delay, are late.
const lateAfter = 5 * time.Second

// staleAfter is how long no newer window end may arrive until values are stale.
func staleAfter(refreshMs, sliceMs, delayMs int64) time.Duration {
	return time.Duration(2*max(refreshMs, sliceMs)+1000+delayMs) * time.Millisecond
}

func (s state) detail(stale time.Duration) string {
	switch s {
	case stateWaiting:
		return "no event has matched yet"
	case stateLate:
		return fmt.Sprintf("results come more than %v behind", lateAfter)
	case stateStale:
		return fmt.Sprintf("no newer window for %.4g s", stale.Seconds())
	case stateDegraded:
		return "Redis cannot be reached"
	case stateLive, stateLimited:
	}
	return ""
}
