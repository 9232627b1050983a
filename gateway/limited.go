package gateway

import (
	"context"
	"time"

	"pulseboard/internal/clock"
)

// limitsPoll is how often the gateway asks which queries are cut.
const limitsPoll = time.Second

// followLimits asks the pipeline's reports which queries are cut, until ctx
// ends. While Redis is away what was known holds.
func (h *hub) followLimits(ctx context.Context) {
	for {
		read, cancel := context.WithTimeout(ctx, redisTimeout)
		reports, err := h.dashboards.LoadLimits(read)
		cancel()
		if err == nil {
			cut := make(map[string]string)
			for i := range reports {
				for j := range reports[i].Cut {
					cut[reports[i].Cut[j].Key] = reports[i].Cut[j].Text()
				}
			}
			h.limit(cut)
		} else if ctx.Err() == nil {
			h.log.Debug("what is limited cannot be read", "error", err)
		}
		if !clock.Sleep(ctx, limitsPoll) {
			return
		}
	}
}

// limit takes over which metric keys are cut, and why.
func (h *hub) limit(cut map[string]string) {
	h.mu.Lock()
	h.limited = cut
	h.mu.Unlock()
	for _, f := range h.allFeeds() {
		if f.limit(cut[f.key], h.now()) {
			h.notify(f, true)
		}
	}
}

// limit says why the key is not computed, "" = it is, and reports whether that
// changed the state.
func (f *feed) limit(why string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.state
	f.limited = why
	f.refreshState(now)
	return f.state != before
}
