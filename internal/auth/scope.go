package auth

import (
	"fmt"
	"slices"
	"strings"
)

// Scope is what a token allows.
type Scope string

// The scopes. Edit includes View and Admin includes all; Ingest and View stand
// alone: a producer has no business with dashboards, nor a wall display with
// events. Nothing asks for Admin by itself: it is for what concerns everybody.
const (
	Ingest Scope = "ingest" // Send events.
	View   Scope = "view"   // Read dashboards, snapshots and streams.
	Edit   Scope = "edit"   // Change dashboards.
	Admin  Scope = "admin"
)

func scopes() []Scope { return []Scope{Ingest, View, Edit, Admin} }

// includes reports whether a token with s may do what asks for need.
func (s Scope) includes(need Scope) bool {
	return s == need || s == Admin || s == Edit && need == View
}

// ParseScopes checks the names of a token's scopes.
func ParseScopes(names []string) ([]Scope, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("no scope is named: take one or more of %s", joined(scopes()))
	}
	out := make([]Scope, 0, len(names))
	for _, name := range names {
		s := Scope(name)
		switch {
		case !slices.Contains(scopes(), s):
			return nil, fmt.Errorf("%.40q is no scope: take one or more of %s", name, joined(scopes()))
		case slices.Contains(out, s):
			return nil, fmt.Errorf("the scope %s is named twice", s)
		}
		out = append(out, s)
	}
	return out, nil
}

// Names returns scopes as strings.
func Names(all []Scope) []string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = string(s)
	}
	return names
}

func joined(all []Scope) string { return strings.Join(Names(all), ", ") }
