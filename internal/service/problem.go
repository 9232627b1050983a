package service

import (
	"encoding/json"
	"net/http"
)

// Problem is an RFC 9457 problem document with our list of errors.
type Problem struct {
	Type   string         `json:"type"`
	Title  string         `json:"title"`
	Status int            `json:"status"`
	Detail string         `json:"detail,omitempty"`
	Errors []ProblemError `json:"errors,omitempty"`
}

// ProblemError is one fault: Pointer is a JSON pointer into the request's body.
type ProblemError struct {
	Pointer string `json:"pointer"`
	Code    string `json:"code"`
	Detail  string `json:"detail"`
}

// NewProblem returns a problem whose title is that of the status.
func NewProblem(status int, detail string, errs ...ProblemError) Problem {
	return Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Errors: errs}
}

// Write answers a request with p.
func (p Problem) Write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	// A client that is gone cannot be told.
	_ = json.NewEncoder(w).Encode(p)
}
