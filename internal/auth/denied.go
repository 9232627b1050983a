package auth

import (
	"fmt"
	"time"
)

// Outcome is why a token was not allowed.
type Outcome string

// The outcomes, as in the metric.
const (
	NoToken      Outcome = "no_token"
	UnknownToken Outcome = "unknown_token"
	Expired      Outcome = "expired"
	MissingScope Outcome = "missing_scope"

	outcomeAllowed = "allowed"
)

// Denied is the error of a check.
type Denied struct {
	Outcome Outcome
	Need    Scope
	Token   Entry // With Expired and MissingScope.
}

// Error fits the reason of a WebSocket's close frame, 123 bytes: names of tokens are
// bounded for it.
func (d *Denied) Error() string {
	switch d.Outcome {
	case NoToken:
		return "a token is needed"
	case Expired:
		return fmt.Sprintf("the token %q has expired", d.Token.Name)
	case MissingScope:
		return fmt.Sprintf("the token %q lacks the scope %s", d.Token.Name, d.Need)
	case UnknownToken:
	}
	return "the token is not known"
}

// Detail says it with the way out.
func (d *Denied) Detail() string {
	create := "pulseboard token create --scopes " + string(d.Need)
	switch d.Outcome {
	case NoToken:
		return "this needs a token with the scope " + string(d.Need) + ": send it in the header Authorization: Bearer TOKEN; whoever runs this server makes one with " + create
	case Expired:
		return fmt.Sprintf("the token %q expired at %s: whoever runs this server makes another with %s", d.Token.Name, d.Token.Expires.UTC().Format(time.RFC3339), create)
	case MissingScope:
		return fmt.Sprintf("the token %q has the scopes %s, and this needs %s: use another token, or let whoever runs this server add the scope", d.Token.Name, joined(d.Token.Scopes), d.Need)
	case UnknownToken:
	}
	return "this server does not know the token: it has a typing error, was removed, or is of another server"
}
