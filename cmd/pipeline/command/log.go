package command

import (
	"context"
	"log/slog"
)

// untilEnd drops what is logged once ctx has ended. Runners cannot be ended at once: of the bundles that still run
// then, in a job whose parts are closed, each would report a failure that is none.
type untilEnd struct {
	slog.Handler
	ctx context.Context
}

// Enabled implements slog.Handler.
func (h untilEnd) Enabled(ctx context.Context, l slog.Level) bool {
	return h.ctx.Err() == nil && h.Handler.Enabled(ctx, l)
}

// WithAttrs implements slog.Handler.
func (h untilEnd) WithAttrs(attrs []slog.Attr) slog.Handler {
	return untilEnd{h.Handler.WithAttrs(attrs), h.ctx}
}

// WithGroup implements slog.Handler.
func (h untilEnd) WithGroup(name string) slog.Handler {
	return untilEnd{h.Handler.WithGroup(name), h.ctx}
}
