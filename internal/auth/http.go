package auth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"pulseboard/internal/service"
)

// Bearer returns the token of a request's Authorization header, "" when there is none.
func Bearer(r *http.Request) string { return Token(r, "Bearer") }

// Token returns the token of a request's Authorization header when it has one of the
// schemes, "" otherwise: others are those of a proxy before us.
func Token(r *http.Request, schemes ...string) string {
	given, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	for _, scheme := range schemes {
		if strings.EqualFold(scheme, given) {
			return strings.TrimSpace(token)
		}
	}
	return ""
}

// Admit lets a request pass whose token has the scope, or answers it and returns false.
func (g *Guard) Admit(w http.ResponseWriter, r *http.Request, need Scope) bool {
	_, err := g.CheckRequest(r, Bearer(r), need)
	if err == nil {
		return true
	}
	Refuse(w, err)
	return false
}

// Refuse answers a request with the error of a check: RFC 6750 in the header,
// RFC 9457 in the body.
func Refuse(w http.ResponseWriter, err error) {
	status, detail := Challenge(w.Header(), err)
	service.NewProblem(status, detail).Write(w)
}

// Challenge sets the headers of a refusal and returns its status and what to
// say, for answers that have another body than Refuse's.
func Challenge(h http.Header, err error) (status int, detail string) {
	var d *Denied
	if !errors.As(err, &d) {
		d = &Denied{Outcome: UnknownToken}
	}
	status = http.StatusUnauthorized
	challenge := `Bearer realm="pulseboard"`
	switch d.Outcome {
	case NoToken:
	case MissingScope:
		status = http.StatusForbidden
		challenge += fmt.Sprintf(`, error="insufficient_scope", scope=%q`, d.Need)
	case UnknownToken, Expired:
		challenge += `, error="invalid_token"`
	}
	h.Set("WWW-Authenticate", challenge)
	h.Set("Cache-Control", "no-store")
	return status, d.Detail()
}
