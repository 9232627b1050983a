package auth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"pulseboard/internal/service"
)

// Bearer returns the token of a request's Authorization header, "" when there is
// none. Other schemes are passed over: they are those of a proxy before us.
func Bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// Admit lets a request pass whose token has the scope, or answers it and returns false.
func (g *Guard) Admit(w http.ResponseWriter, r *http.Request, need Scope) bool {
	_, err := g.Check(Bearer(r), need)
	if err == nil {
		return true
	}
	Refuse(w, err)
	return false
}

// Refuse answers a request with the error of a check: RFC 6750 in the header,
// RFC 9457 in the body.
func Refuse(w http.ResponseWriter, err error) {
	var d *Denied
	if !errors.As(err, &d) {
		d = &Denied{Outcome: UnknownToken}
	}
	status, challenge := http.StatusUnauthorized, `Bearer realm="pulseboard"`
	switch d.Outcome {
	case NoToken:
	case MissingScope:
		status = http.StatusForbidden
		challenge += fmt.Sprintf(`, error="insufficient_scope", scope=%q`, d.Need)
	case UnknownToken, Expired:
		challenge += `, error="invalid_token"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	w.Header().Set("Cache-Control", "no-store")
	service.NewProblem(status, d.Detail()).Write(w)
}

// Gin is Admit as a middleware of one route or many.
func (g *Guard) Gin(need Scope) gin.HandlerFunc {
	return func(c *gin.Context) {
		if !g.Admit(c.Writer, c.Request, need) {
			c.Abort()
		}
	}
}
