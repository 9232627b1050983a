package send

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"pulseboard/clients/rest"
	"pulseboard/internal/clock"
)

const (
	// batchEvents and batchBytes bound a request; ingest takes ten times as many.
	batchEvents = 5000
	batchBytes  = 1 << 20

	// MaxRetry is how long a request may be repeated: its events count once for two minutes.
	MaxRetry       = 100 * time.Second
	firstBackoff   = 200 * time.Millisecond
	longestBackoff = 10 * time.Second
	requestTime    = 30 * time.Second
	shownFaults    = 20
)

// Config is where events go and how.
type Config struct {
	Server    string // URL of ingest.
	Token     string // "" where none is needed.
	Name      string // Of what is sent, in messages: a file, or standard input.
	One       bool   // It is one event, so messages name no lines.
	Format    Format
	Precision string // Of the times of Lines; "" = ns.
	// Key makes a repetition of the whole count once, when it is sent the same again within two minutes; "" = a new one.
	Key string
	// Retry is how long a request is repeated that is not answered, at most MaxRetry.
	Retry time.Duration
	// Progress is called after each request; nil = nobody is.
	Progress func(Sum)
	// Say is where faults of events are written, by line; not nil.
	Say io.Writer
}

// Sum is what became of what was sent.
type Sum struct {
	Stored  int // Events; of lines, which may have several each, lines of requests that were stored whole.
	Refused int
	Bytes   int64 // Of the text.
}

// errGivenUp is the error of a request that was not answered in time.
var errGivenUp = errors.New("some events may be stored or not")

// Send sends a text and says what is refused. Its error means that not all was sent: what comes after it in the
// text was not.
func Send(ctx context.Context, c Config, text io.Reader) (Sum, error) {
	s := &sender{config: c, key: c.Key, client: &rest.Client{HTTP: http.Client{Timeout: requestTime}, Token: func() (string, error) { return c.Token, nil }, Once: true}}
	if s.key == "" {
		s.key = rand.Text()
	}
	defer s.client.HTTP.CloseIdleConnections()
	counted := &counting{r: text}
	if c.Format == Auto {
		begin := make([]byte, 512)
		n, err := io.ReadFull(text, begin)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return s.sum, fmt.Errorf("cannot read %s: %w", c.Name, err)
		}
		s.config.Format = guess(c.Name, begin[:n])
		counted.r = io.MultiReader(bytes.NewReader(begin[:n]), text)
	}
	err := scan(counted, s.config.Format, func(i item) error {
		if len(s.lines) == batchEvents || len(s.lines) > 0 && len(s.body)+len(i.text) >= batchBytes {
			if err := s.flush(ctx); err != nil {
				return err
			}
			s.sum.Bytes = counted.n
			s.tell()
		}
		s.body = append(append(s.body, i.text...), '\n')
		s.lines = append(s.lines, i.line)
		return nil
	})
	var failed *requestError
	switch {
	case errors.As(err, &failed):
	case err != nil:
		err = fmt.Errorf("%s: %w", c.Name, err)
		if e := s.flush(ctx); e != nil { // What stands before it.
			err = e
		}
	default:
		err = s.flush(ctx)
	}
	s.sum.Bytes = counted.n
	s.tell()
	if more := s.faults - shownFaults; more > 0 {
		_, _ = fmt.Fprintf(c.Say, "%s: %d more are refused\n", c.Name, more)
	}
	return s.sum, err
}

// counting knows how much was read.
type counting struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// sender gathers a request and sends it.
type sender struct {
	config Config
	client *rest.Client
	key    string
	number int // Of the request.
	body   []byte
	lines  []int // Of each event of body.
	sum    Sum
	faults int
	warned map[string]bool
}

// requestError is why a request was not stored, and the text is not sent on.
type requestError struct{ err error }

func (e *requestError) Error() string { return e.err.Error() }
func (e *requestError) Unwrap() error { return e.err }

func (s *sender) tell() {
	if s.config.Progress != nil {
		s.config.Progress(s.sum)
	}
}

// where names some lines of the text.
func (s *sender) where(lines []int) string {
	first, last := lines[0], lines[len(lines)-1]
	if s.config.One {
		return s.config.Name
	}
	if first == last {
		return fmt.Sprintf("%s, line %d", s.config.Name, first)
	}
	return fmt.Sprintf("%s, lines %d to %d", s.config.Name, first, last)
}

// flush sends what is gathered, until it is answered.
func (s *sender) flush(ctx context.Context) error {
	if len(s.lines) == 0 {
		return nil
	}
	s.number++
	address, kind := s.config.Server+"/ingest", "application/x-ndjson"
	if s.config.Format == Lines {
		address, kind = s.config.Server+"/api/v2/write?precision="+url.QueryEscape(s.config.Precision), "text/plain; charset=utf-8"
	}
	giveUp := time.Now().Add(min(s.config.Retry, MaxRetry))
	for backoff := firstBackoff; ; backoff = min(2*backoff, longestBackoff) {
		a, err := s.client.Do(ctx, http.MethodPost, address, s.body, "Content-Type", kind, "Idempotency-Key", s.key+"-"+strconv.Itoa(s.number))
		if err == nil && !again(a.Status) {
			err := s.answered(a)
			s.body, s.lines = s.body[:0], s.lines[:0]
			return err
		}
		if err == nil {
			err = fmt.Errorf("%s answered %d: %s", s.config.Server, a.Status, said(a))
		}
		pause := backoff/2 + mrand.N(backoff)
		if seconds, e := strconv.Atoi(a.Header.Get("Retry-After")); e == nil {
			pause = max(pause, time.Duration(seconds)*time.Second)
		}
		if ctx.Err() != nil || time.Now().Add(pause).After(giveUp) || !clock.Sleep(ctx, pause) {
			return &requestError{fmt.Errorf("%s: %w: %w", s.where(s.lines), errGivenUp, err)}
		}
	}
}

// again reports whether a request with this answer is to be sent again.
func again(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500
}

// said is the text of an answer that is no list of verdicts.
func said(a rest.Answer) string {
	if p := a.Problem(); p.Detail != "" {
		return p.Detail
	}
	var influx struct{ Message string }
	if json.Unmarshal(a.Body, &influx) == nil && influx.Message != "" {
		return influx.Message
	}
	return fmt.Sprintf("%.200s", a.Body)
}

// verdicts is the answer of POST /ingest.
type verdicts struct {
	Accepted, Rejected int
	Errors             []struct {
		Index        *int
		Code, Detail string
	}
	Warnings []struct {
		Member, Detail string
		Count, Index   int
	}
}

// answered takes the answer to the request that is gathered.
func (s *sender) answered(a rest.Answer) error {
	if s.config.Format == Lines {
		return s.answeredLines(a)
	}
	var v verdicts
	if err := json.Unmarshal(a.Body, &v); err != nil || v.Accepted+v.Rejected != len(s.lines) || a.Status != http.StatusOK && a.Status != http.StatusBadRequest {
		return &requestError{fmt.Errorf("%s: %s answered %d: %s", s.where(s.lines), s.config.Server, a.Status, said(a))}
	}
	s.sum.Stored += v.Accepted
	s.sum.Refused += v.Rejected
	named := 0
	for _, e := range v.Errors {
		if e.Index != nil && *e.Index < len(s.lines) {
			s.fault(s.lines[*e.Index:][:1], e.Code+": "+e.Detail)
			named++
		}
	}
	s.faults += v.Rejected - named
	for _, w := range v.Warnings {
		if s.warned == nil {
			s.warned = make(map[string]bool)
		}
		if !s.warned[w.Member] && w.Index < len(s.lines) && len(s.warned) < shownFaults {
			s.warned[w.Member] = true
			_, _ = fmt.Fprintf(s.config.Say, "%s: warning: member %q: %s\n", s.where(s.lines[w.Index:][:1]), w.Member, w.Detail)
		}
	}
	return nil
}

// fault tells of a refusal, of the first ones.
func (s *sender) fault(lines []int, text string) {
	if s.faults++; s.faults <= shownFaults {
		_, _ = fmt.Fprintf(s.config.Say, "%s: %s\n", s.where(lines), text)
	}
}

// lineNumber finds lines of a request in an answer.
var lineNumber = regexp.MustCompile(`line (\d+), byte`)

// answeredLines takes the answer in InfluxDB's form: all is stored, or a text says what is not.
func (s *sender) answeredLines(a rest.Answer) error {
	var w struct {
		Message string
		Line    int
	}
	_ = json.Unmarshal(a.Body, &w) // Another answer says nothing.
	var refused, all int
	_, text, _ := bytes.Cut([]byte(w.Message), []byte(": "))
	n, _ := fmt.Sscanf(string(text), "%d of %d values are refused", &refused, &all)
	switch {
	case a.Status == http.StatusNoContent:
		s.sum.Stored += len(s.lines)
	case a.Status == http.StatusBadRequest && n == 2:
		s.sum.Stored += max(0, len(s.lines)-refused)
		s.sum.Refused += refused
		at := s.lines
		if w.Line > 0 && w.Line <= len(s.lines) && refused == 1 {
			at = s.lines[w.Line-1:][:1]
		}
		s.fault(at, lineNumber.ReplaceAllStringFunc(w.Message, func(text string) string {
			n, _ := strconv.Atoi(lineNumber.FindStringSubmatch(text)[1]) // It is a number.
			if n < 1 || n > len(s.lines) {
				return text
			}
			return fmt.Sprintf("line %d, byte", s.lines[n-1])
		}))
	default:
		return &requestError{fmt.Errorf("%s: %s answered %d: %s", s.where(s.lines), s.config.Server, a.Status, said(a))}
	}
	return nil
}
