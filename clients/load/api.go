package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"pulseboard/clients/rest"
	"pulseboard/internal/secret"
)

// api asks the config service and the gateways.
type api struct{ rest.Client }

func newAPI(token secret.Text) *api {
	return &api{rest.Client{
		Token: func() (string, error) { return token.Reveal(), nil },
		HTTP:  http.Client{Timeout: requestTime, Transport: &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute}},
	}}
}

// do sends a request; answer is decoded into when it is not nil. who is the service, for errors.
func (a *api) do(ctx context.Context, who, method, url string, body, answer any) error {
	var header []string
	if method == http.MethodDelete {
		header = []string{"If-Match", "*"}
	}
	res, err := a.Do(ctx, method, url, body, header...)
	switch {
	case err != nil:
		return fmt.Errorf("cannot reach %s: %w; is Pulseboard running there? --url names it, or --config, --gateway and --ingest each service", who, err)
	case res.Status >= http.StatusBadRequest:
		return refused(fmt.Sprintf("%s %s: %s answers", method, url, who), res, "pass a token for it in PULSEBOARD_TOKEN", "is the address right?")
	case answer == nil:
		return nil
	}
	if err := json.Unmarshal(res.Body, answer); err != nil {
		return fmt.Errorf("%s %s answers no JSON: is this %s? %w", method, url, who, err)
	}
	return nil
}

// refusal is an answer with a status that says no.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// final reports whether asking again is in vain.
func (r *refusal) final() bool {
	return r.status >= 400 && r.status < 500 && r.status != http.StatusTooManyRequests
}

// refused returns what was answered as an error that begins with what. token is what
// to do about 401 and 403, address about 404.
func refused(what string, a rest.Answer, token, address string) *refusal {
	s := fmt.Sprintf("%s %d %s", what, a.Status, http.StatusText(a.Status))
	p := a.Problem()
	if p.Detail != "" {
		s += ": " + p.Detail
	}
	const most = 3
	for _, e := range p.Errors[:min(most, len(p.Errors))] {
		s += fmt.Sprintf("; %s %s", e.Pointer, e.Detail)
	}
	if more := len(p.Errors) - most; more > 0 {
		s += fmt.Sprintf("; and %d more", more)
	}
	switch a.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		s += "; " + token
	case http.StatusNotFound:
		s += "; " + address
	}
	return &refusal{a.Status, s}
}
