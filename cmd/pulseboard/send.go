package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"pulseboard/clients/send"
	"pulseboard/internal/conf"
	"pulseboard/internal/service"
)

const aboutSend = `
pulseboard send sends events from scripts: one, a file of them, or what comes on
standard input.

  pulseboard send api.latency 12.5 host=a region=eu
  pulseboard send backup.bytes 1048576 --kind gauge
  pulseboard send --file events.ndjson
  psql -c "copy (select …) to stdout" | pulseboard send --file - --format ndjson

A file holds JSON (an event, an array, {"events":[…]}, or one after the other),
NDJSON, or lines of InfluxDB (cpu,host=a usage=1.5); docs/ingest.md has what an
event may say. Events without a time count when they arrive. Requests that are not
answered are repeated, and count once all the same.

It ends with 0 when everything is stored; with 1 when some events are refused, each
told with its line, and the others are stored; with 2 when not everything could be
sent: the message says up to which line it was.`

// What ends the command beside 0: exitDiffers = some events are refused, exitTrouble = not all was sent.

type sendOptions struct {
	send.Config

	file   string
	format string
	token  conf.Secret
	quiet  bool
	event  oneEvent
}

// oneEvent is what the arguments say of an event.
type oneEvent struct {
	kind, time, start string
	stale, point      bool
	args              []string
}

// negative is an argument that is a number below 0, which would be taken for a flag.
var negative = regexp.MustCompile(`^-[0-9.]`)

// marked keeps an argument from being taken for a flag.
const marked = "\x00"

func sendCommand(ctx context.Context, env service.Env) error {
	o, err := parseSend(env)
	if errors.Is(err, conf.ErrHelp) {
		return err
	}
	if err != nil {
		return trouble(err)
	}
	text, size, err := o.open()
	if err != nil {
		return trouble(err)
	}
	defer text.Close() //nolint:errcheck // It was only read.
	o.Say = env.Stderr
	bar := newBar(env.Stderr, size)
	if o.quiet || o.file == "" {
		bar = nil
	}
	if bar != nil {
		o.Say, o.Progress = bar, bar.show
	}
	sum, err := send.Send(ctx, o.Config, text)
	bar.end()
	if o.file != "" && !o.quiet {
		_, _ = fmt.Fprintf(env.Stderr, "%s: %d stored, %d refused\n", o.Name, sum.Stored, sum.Refused)
	}
	switch {
	case err != nil:
		return trouble(err)
	case sum.Refused > 0:
		return &service.Exit{Code: exitDiffers}
	}
	return nil
}

func parseSend(env service.Env) (*sendOptions, error) {
	o := &sendOptions{}
	f := conf.New("pulseboard send", aboutSend)
	f.StringVar(&o.Server, "server", "http://127.0.0.1:8080", "`URL` of ingest, or of pulseboard run")
	f.Secret(&o.token, "token", "a token with the scope ingest")
	f.StringVar(&o.file, "file", "", "`file` to send; - = standard input")
	f.StringVar(&o.format, "format", string(send.Auto), "what the file holds: `json`, ndjson, lines or auto, which goes by its name, else by how it begins")
	f.StringVar(&o.Precision, "precision", "ns", "`unit` of the times of lines: ns, us, ms or s")
	f.StringVar(&o.Key, "key", "", "`text` that stands for all that is sent: the same again within two minutes counts once, if it is sent with the same text; empty = a new one")
	f.DurationVar(&o.Retry, "retry", time.Minute, "how long a request is repeated that is not answered, a `duration` of at most "+send.MaxRetry.String())
	f.BoolVar(&o.quiet, "quiet", false, "tell only what is refused, and why something could not be sent")
	f.StringVar(&o.event.kind, "kind", "", "of one event: `event`, delta, cumulative or gauge")
	f.StringVar(&o.event.time, "time", "", "of one event: its `time`, RFC 3339 or milliseconds since 1970; empty = its arrival")
	f.StringVar(&o.event.start, "start", "", "of one event of a counter: the `time` when it began")
	f.BoolVar(&o.event.stale, "stale", false, "in place of a value: the series ends")
	f.BoolVar(&o.event.point, "point", false, "of one event: sent again with the same time it counts once")
	env.Args = slices.Clone(env.Args)
	for i, a := range env.Args {
		if negative.MatchString(a) {
			env.Args[i] = marked + a
		}
	}
	var err error
	if o.event.args, err = f.ParseArgs(env.Args, env.Getenv, env.Stdout); err != nil {
		return nil, err
	}
	o.Token = o.token.Text.Reveal()
	o.Server = strings.TrimRight(o.Server, "/")
	if u, err := url.Parse(o.Server); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("--server is %q: it must be a URL such as http://127.0.0.1:8080", o.Server)
	}
	if o.Format = send.Format(o.format); !slices.Contains(send.Formats(), o.Format) {
		return nil, fmt.Errorf("--format is %q: it must be auto, json, ndjson or lines", o.format)
	}
	if o.Retry < 0 || o.Retry > send.MaxRetry {
		return nil, fmt.Errorf("--retry is %v: it must be 0s to %v, since what is repeated later may count twice", o.Retry, send.MaxRetry)
	}
	if about := o.event; o.file != "" && (len(about.args) > 0 || about.kind+about.time+about.start != "" || about.stale || about.point) {
		return nil, errors.New("--file has the events: leave out metric, value and the flags of one event")
	}
	return o, nil
}

// open returns what is to be sent, and its size in bytes, 0 = it is not known.
func (o *sendOptions) open() (io.ReadCloser, int64, error) {
	switch o.file {
	case "":
		o.Name, o.One, o.Format = "the event", true, send.NDJSON
		text, err := o.event.json()
		return io.NopCloser(strings.NewReader(text)), 0, err
	case "-":
		o.Name = "standard input"
		return io.NopCloser(os.Stdin), 0, nil
	}
	o.Name = o.file
	f, err := os.Open(o.file)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot send the file: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("cannot send %s: it is a folder", o.file)
	}
	if err != nil {
		_ = f.Close() // It was not even read.
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// json is the event that the arguments say: metric, value, and tags as name=value.
func (e *oneEvent) json() (string, error) {
	event := make(map[string]any)
	args := e.args
	if len(args) == 0 {
		return "", errors.New("say what to send: a metric and its value, or --file (see pulseboard send --help)")
	}
	event["metric_name"], args = args[0], args[1:]
	if !e.stale {
		if len(args) == 0 {
			return "", fmt.Errorf("the value of %s is missing: pulseboard send %s 12.5", e.args[0], e.args[0])
		}
		text := strings.TrimPrefix(args[0], marked)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || v-v != 0 {
			return "", fmt.Errorf("the value of %s is %q: it must be a number", e.args[0], text)
		}
		event["value"], args = v, args[1:]
	} else {
		event["stale"] = true
	}
	tags := make(map[string]string)
	for _, arg := range args {
		key, value, ok := strings.Cut(strings.TrimPrefix(arg, marked), "=")
		if !ok || key == "" {
			return "", fmt.Errorf("the argument %q is no tag: it must be name=value", strings.TrimPrefix(arg, marked))
		}
		if _, twice := tags[key]; twice {
			return "", fmt.Errorf("the tag %s is there twice", key)
		}
		tags[key] = value
	}
	if len(tags) > 0 {
		event["tags"] = tags
	}
	for name, text := range map[string]string{"kind": e.kind, "event_time": e.time, "start": e.start} {
		if ms, err := strconv.ParseInt(text, 10, 64); err == nil && name != "kind" {
			event[name] = ms
		} else if text != "" {
			event[name] = text
		}
	}
	if e.point {
		event["point"] = true
	}
	text, err := json.Marshal(event)
	return string(text), err
}
