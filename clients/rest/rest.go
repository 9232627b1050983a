// Package rest asks Pulseboard's HTTP services, as the programs outside of them do.
package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"pulseboard/internal/service"
)

// Client sends requests. The zero Client sends them without a token.
type Client struct {
	HTTP http.Client
	// Token returns the bearer token of a request, "" = none; nil = never one.
	Token func() (string, error)
	// Once keeps net/http from sending a request again by itself.
	Once bool
}

// Answer is what a service answered, read whole.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// maxAnswer is the largest answer that is read: a document of 1 MiB may be larger with its warnings.
const maxAnswer = 16 << 20

// Do sends a request, and reads the answer whatever its status. body is sent as JSON,
// a []byte as it is, nil not at all; header holds names and values by turns. An error
// says that there is no whole answer.
func (c *Client) Do(ctx context.Context, method, url string, body any, header ...string) (Answer, error) {
	text, isText := body.([]byte)
	if body != nil && !isText {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return Answer{}, fmt.Errorf("cannot encode what is sent to %s: %w", url, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return Answer{}, err
	}
	if c.Once {
		req.GetBody = nil
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if err := c.Authorize(req.Header); err != nil {
		return Answer{}, err
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	a := Answer{Status: res.StatusCode, Header: res.Header}
	if a.Body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer)); err != nil {
		return a, fmt.Errorf("cannot read the answer to %s %s: %w", method, req.URL.Redacted(), err)
	}
	return a, nil
}

// Authorize adds the token to the header of a request.
func (c *Client) Authorize(h http.Header) error {
	if c.Token == nil {
		return nil
	}
	token, err := c.Token()
	if err == nil && token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	return err
}

// Problem returns the problem document that an answer is, the zero one for other answers.
func (a Answer) Problem() service.Problem {
	var p service.Problem
	_ = json.Unmarshal(a.Body, &p) // The status alone says enough.
	return p
}
