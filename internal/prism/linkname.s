// Empty. With a file of assembly in a package, Go takes functions without a body: those of go:linkname.
