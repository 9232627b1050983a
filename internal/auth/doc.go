// Package auth says who may do what: static bearer tokens with scopes, kept as
// hashes in a file that is read again when it changes.
//
//	tokens.yaml ──▶ Parse ──▶ Guard ──▶ Check: stream        ──▶ Grant, looked at again while it is open
//	     ▲                      ▲  └──▶ Gin, Admit: requests ──▶ 401, 403 or onwards
//	pulseboard token            └── Run looks at the file every half second
//
// A nil *Guard lets everybody do everything. That is what a service without a
// tokens file has, and why CheckAddr keeps it on loopback then.
//
// /healthz, /readyz and /metrics ask for no token: they are for the private network.
package auth
