package auth

import "flag"

// TokensFlag defines the flag of a service that names the tokens file.
func TokensFlag(f *flag.FlagSet, path *string) {
	f.StringVar(path, "tokens", "", "`file` of the tokens that let clients in, made with pulseboard token create and read again when it changes;\nempty = everybody who reaches --addr, which must be on loopback then")
}
