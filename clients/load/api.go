package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"pulseboard/internal/service"
)

// api asks the config service and the gateways.
type api struct {
	token string
	http  *http.Client
}

func newAPI(token string) *api {
	return &api{token, &http.Client{Timeout: requestTime, Transport: &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute}}}
}

// do sends a request; answer is decoded into when it is not nil. who names the service in errors.
func (a *api) do(ctx context.Context, who, method, url string, body, answer any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodDelete {
		req.Header.Set("If-Match", "*")
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	res, err := a.http.Do(req)
	if err != nil {
		return fmt.Errorf("cannot reach %s: %w; is Pulseboard running there? --url names it, or --config, --gateway and --ingest each service", who, err)
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	text, err = io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("cannot read the answer of %s: %w", who, err)
	}
	if res.StatusCode >= http.StatusBadRequest {
		return answerError(who, method, url, res.StatusCode, text)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s %s answers no JSON: is this %s? %w", method, url, who, err)
	}
	return nil
}

func answerError(who, method, url string, status int, text []byte) error {
	s := fmt.Sprintf("%s %s: %s answers %d %s", method, url, who, status, http.StatusText(status))
	var p service.Problem
	if json.Unmarshal(text, &p) == nil {
		if p.Detail != "" {
			s += ": " + p.Detail
		}
		for i, e := range p.Errors {
			if i == 3 {
				s += fmt.Sprintf("; and %d more", len(p.Errors)-i)
				break
			}
			s += fmt.Sprintf("; %s %s", e.Pointer, e.Detail)
		}
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		s += "; pass a token for it in PULSEBOARD_TOKEN"
	case http.StatusNotFound:
		s += "; is the address right?"
	}
	return &refusal{status, s}
}
