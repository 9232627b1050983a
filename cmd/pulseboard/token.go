package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"pulseboard/internal/audit"
	"pulseboard/internal/auth"
	"pulseboard/internal/conf"
	"pulseboard/internal/service"
)

const tokenUsage = `Usage: pulseboard token <command> [flags]

Commands:
  create   make a token, print it once, and add its hash to a tokens file
  list     show names, scopes and expiry of a tokens file
  remove   take a token out of a tokens file

Services read the file that --tokens names, and again when it changes: a new token
counts, and a removed one is refused, within a second. docs/access.md says more.

"pulseboard token <command> --help" lists the flags of a command.
`

const aboutCreate = `
pulseboard token create makes a token of 256 random bits. It prints the token to
standard output, and nothing else there; the tokens file gets its hash only, so a
token that is lost cannot be found again: make another and remove the old one.

  pulseboard token create --name ci --scopes ingest --file tokens.yaml
  TOKEN=$(pulseboard token create --name wall --scopes view --expires 90d --file tokens.yaml)

Scopes, one or more separated by commas:
  ingest   send events
  view     read dashboards, snapshots and streams
  edit     change dashboards; includes view
  admin    everything

Without --file the entry is printed to standard error, to be put under "tokens:"
of a file by hand.`

const aboutList = `
pulseboard token list shows the tokens of a file: names, scopes and expiry. The
tokens themselves are in no file.

  pulseboard token list --file tokens.yaml`

const aboutRemove = `
pulseboard token remove takes a token out of a file. Services that read the file
refuse it within a second and close the streams that were opened with it.

  pulseboard token remove --name ci --file tokens.yaml`

func token(ctx context.Context, env service.Env) error {
	return dispatch(ctx, env, "pulseboard token", tokenUsage, []subcommand{{"create", createToken}, {"list", listTokens}, {"remove", removeToken}})
}

const fileUsage = "`path` of the tokens file, the one that services are given with --tokens"

func createToken(_ context.Context, env service.Env) error {
	now := time.Now()
	var name, expires, file, record string
	var scopes conf.List
	f := conf.New("pulseboard token create", aboutCreate)
	f.StringVar(&name, "name", "", "`name` to know the token by, such as ci or anna; answers and lists show it")
	f.Var(&scopes, "scopes", "`scopes` that the token has: ingest, view, edit, admin, separated by commas")
	f.StringVar(&expires, "expires", "", "`end` of the token: a day, to whose end in UTC it is good (2027-01-31), a time (2027-01-31T12:00:00Z)\nor how long from now (90d, 12h); empty = never")
	f.StringVar(&file, "file", "", "`path` of the tokens file that gets the entry, made when it is not there; empty = print the entry")
	audit.Flag(f.FlagSet, &record)
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	if err := auth.CheckName(name); err != nil {
		return fmt.Errorf("--name: %w", err)
	}
	allowed, err := auth.ParseScopes(scopes)
	if err != nil {
		return fmt.Errorf("--scopes: %w", err)
	}
	end, err := parseExpiry(expires, now)
	if err != nil {
		return err
	}
	secret := auth.NewSecret()
	e := auth.Entry{Name: name, Scopes: allowed, Hash: auth.DigestOf(secret), Expires: end}
	// The file first: a token that was printed must be one that counts.
	if file != "" {
		if err := auth.Add(file, e); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(env.Stdout, secret); err != nil {
		return fmt.Errorf("cannot print the token %q: %w; remove it and make another", name, err)
	}
	// The command prints the token to standard output, where nothing else belongs.
	if err := appendAudit(env, record, auth.TokenEntry(audit.TokenAdded, file, e)); err != nil {
		return err
	}
	if file == "" {
		_, _ = fmt.Fprintf(env.Stderr, "Put this under \"tokens:\" of the tokens file:\n%s", e.YAML())
		return nil
	}
	_, _ = fmt.Fprintf(env.Stderr, "Added %s (%s, %s) to %s. The token is shown only this once.\n", name, scopes.String(), expiryText(end, now), file)
	return nil
}

// parseExpiry reads a day, a time or a duration; zero time = never.
func parseExpiry(text string, now time.Time) (end time.Time, err error) {
	if text == "" {
		return end, nil
	}
	day, dayErr := time.Parse(time.DateOnly, text)
	at, atErr := time.Parse(time.RFC3339, text)
	days, daysErr := strconv.Atoi(strings.TrimSuffix(text, "d"))
	length, lengthErr := time.ParseDuration(text)
	switch {
	case dayErr == nil:
		end = day.AddDate(0, 0, 1)
	case atErr == nil:
		end = at
	case daysErr == nil && strings.HasSuffix(text, "d"):
		end = now.AddDate(0, 0, days)
	case lengthErr == nil:
		end = now.Add(length)
	default:
		return end, fmt.Errorf("--expires is %.40q: it must be a day such as 2027-01-31, a time such as 2027-01-31T12:00:00Z, or how long from now, such as 90d or 12h", text)
	}
	if !end.After(now) {
		return end, fmt.Errorf("--expires is %.40q, which is past: name a time to come, or leave it out", text)
	}
	if end.Year() > 9999 {
		return end, fmt.Errorf("--expires is %.40q, which is too far away: leave it out for a token that never expires", text)
	}
	return end.UTC().Truncate(time.Second), nil
}

func expiryText(end, now time.Time) string {
	switch {
	case end.IsZero():
		return "never expires"
	case !end.After(now):
		return "expired " + end.UTC().Format(time.RFC3339)
	}
	return "expires " + end.UTC().Format(time.RFC3339)
}

func listTokens(_ context.Context, env service.Env) error {
	var file string
	f := conf.New("pulseboard token list", aboutList)
	f.StringVar(&file, "file", "tokens.yaml", fileUsage)
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	entries, err := auth.ReadFile(file)
	if err != nil {
		return orName(err)
	}
	w := tabwriter.NewWriter(env.Stdout, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAME\tSCOPES\tEXPIRY")
	for _, e := range entries {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", e.Name, strings.Join(auth.Names(e.Scopes), ","), expiryText(e.Expires, time.Now()))
	}
	return w.Flush()
}

func removeToken(_ context.Context, env service.Env) error {
	var name, file, record string
	f := conf.New("pulseboard token remove", aboutRemove)
	f.StringVar(&name, "name", "", "`name` of the token")
	f.StringVar(&file, "file", "tokens.yaml", fileUsage)
	audit.Flag(f.FlagSet, &record)
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	if name == "" {
		return errors.New("--name is empty: name the token that is to go; pulseboard token list shows what there is")
	}
	if err := auth.Remove(file, name); err != nil {
		return orName(err)
	}
	_, _ = fmt.Fprintf(env.Stderr, "Removed %s from %s.\n", name, file)
	return appendAudit(env, record, auth.TokenEntry(audit.TokenRemoved, file, auth.Entry{Name: name}))
}

// appendAudit puts what a command did into an audit log. Standard output is the command's own.
func appendAudit(env service.Env, path string, e audit.Entry) error {
	e.User = audit.User(env.Getenv)
	return audit.Append(path, "pulseboard", env.Stderr, e)
}

// orName adds the way out when there is no file.
func orName(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; name the file with --file", err)
	}
	return err
}
