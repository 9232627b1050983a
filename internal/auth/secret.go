package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
)

// prefix marks our tokens, so that people and scanners of secrets know one.
const prefix = "pb_"

// NewSecret returns a new token: 256 random bits.
func NewSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // It never fails.
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// Digest is what is kept of a token: its SHA-256. A slow hash with salt is for
// passwords, which people choose and a dictionary guesses. Of 256 random bits
// there is no dictionary, and a request must not wait for a slow one. A token is
// looked up by its digest, so how long that takes says nothing about others.
type Digest [sha256.Size]byte

const digestPrefix = "sha256:"

// DigestOf returns the digest of a token.
func DigestOf(secret string) Digest { return sha256.Sum256([]byte(secret)) }

// String returns the form of the tokens file.
func (d Digest) String() string { return digestPrefix + hex.EncodeToString(d[:]) }

// parseDigest never repeats the text: it may be a token by mistake.
func parseDigest(text string) (d Digest, err error) {
	if strings.HasPrefix(text, prefix) {
		return d, errors.New("hash is a token in clear text, which others may have read here: " +
			"take the entry out and make another with pulseboard token create, which writes the hash")
	}
	b, err := hex.DecodeString(strings.TrimPrefix(text, digestPrefix))
	if err != nil || len(b) != len(d) || !strings.HasPrefix(text, digestPrefix) {
		return d, errors.New(`hash must be "sha256:" and 64 hexadecimal digits, as pulseboard token create writes it`)
	}
	return Digest(b), nil
}
