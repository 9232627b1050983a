// Package service is what all our processes share: signals, exit codes, logs
// and HTTP servers that start late and end in order.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"pulseboard/internal/conf"
	"pulseboard/internal/secret"
)

// Env is what a command gets from its surroundings.
type Env struct {
	Args   []string // Without the command's name.
	Getenv func(string) string
	Stdout io.Writer
	Stderr io.Writer
}

// Exit ends a command with an exit code of its own, for commands whose codes
// scripts rely on. Without Err nothing is printed: the command has said it all.
type Exit struct {
	Code int
	Err  error
}

func (e *Exit) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns Err.
func (e *Exit) Unwrap() error { return e.Err }

// Main runs a command until it ends or SIGINT or SIGTERM arrives, and returns
// the exit code. An error is printed as one line. A second signal ends the
// process at once.
func Main(name string, run func(context.Context, Env) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // The next signal has its default effect.
	return Run(ctx, name, Env{Args: os.Args[1:], Getenv: os.Getenv, Stdout: os.Stdout, Stderr: os.Stderr}, run)
}

// Run is Main in surroundings of the caller's, without signals.
func Run(ctx context.Context, name string, env Env, run func(context.Context, Env) error) int {
	err := run(ctx, env)
	var exit *Exit
	if errors.As(err, &exit) {
		if exit.Err != nil {
			_, _ = fmt.Fprintf(env.Stderr, "%s: %s\n", name, secret.Scrub(exit.Err.Error()))
		}
		return exit.Code
	}
	if err == nil || errors.Is(err, conf.ErrHelp) || ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return 0
	}
	_, _ = fmt.Fprintf(env.Stderr, "%s: %s\n", name, secret.Scrub(err.Error()))
	return 1
}

// Logger returns the text log of a service.
func Logger(w io.Writer, level slog.Level, name string) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: scrub})).With("service", name)
}

// scrub takes passwords out of the addresses that libraries quote in their errors.
func scrub(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case string:
		a.Value = slog.StringValue(secret.Scrub(v))
	case error:
		a.Value = slog.StringValue(secret.Scrub(v.Error()))
	}
	return a
}

// Listen opens a TCP listener; its errors name the address and the way out, which is the flag.
func Listen(ctx context.Context, flag, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("cannot listen on %s: the port is in use; end the other process or choose another with %s", addr, flag)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, err)
	}
	return ln, nil
}
