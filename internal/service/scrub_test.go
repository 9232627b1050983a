package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pulseboard/internal/service"
)

// What a library quotes of an address has no password any more when it is logged or printed.
func TestNoPasswordIsLoggedOrPrinted(t *testing.T) {
	const address = "postgres://user:hunter-2-hidden@h:1/db"
	quoting := fmt.Errorf("cannot connect: %w", errors.New(`parse "`+address+`": invalid port`))
	var out bytes.Buffer
	log := service.Logger(&out, slog.LevelDebug, "test")
	log.Debug("x", "error", quoting, "addr", address, slog.Group("in", "error", quoting))
	log.With("addr", address).Info("x")
	for _, err := range []error{quoting, &service.Exit{Code: 2, Err: quoting}} {
		service.Run(t.Context(), "test", service.Env{Stderr: &out}, func(context.Context, service.Env) error { return err })
	}
	if strings.Contains(out.String(), "hunter-2-hidden") || strings.Count(out.String(), "postgres://user:[secret]@h:1/db") != 6 {
		t.Error(out.String())
	}
}
