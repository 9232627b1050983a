package sources

import (
	"sync/atomic"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
)

// watermark never goes back and may be read while it is set: Beam's own
// estimators do neither, and progress reports and splits read them from
// another goroutine.
type watermark struct{ ms atomic.Int64 }

func newWatermark(ms int64) *watermark {
	w := new(watermark)
	w.ms.Store(ms)
	return w
}

func (w *watermark) advance(ms int64) {
	for {
		old := w.ms.Load()
		if ms <= old || w.ms.CompareAndSwap(old, ms) {
			return
		}
	}
}

// CurrentWatermark is called by the SDK.
func (w *watermark) CurrentWatermark() time.Time { return mtime.Time(w.ms.Load()).ToTime() }
