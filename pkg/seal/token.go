package seal

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
)

// TokenLength is the length of a token that [NewToken] makes.
const TokenLength = 50

// NewToken returns a new instance token: [TokenLength] lower-case hex
// characters, 200 bits of randomness.
func NewToken() string {
	b := make([]byte, TokenLength/2)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// HashToken returns the lower-case hex SHA-256 of a token: what is stored and
// looked up in its place. A hash without salt is enough for tokens that are
// random; it is no way to keep a password.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Equal compares two secrets in a time that depends on neither their content
// nor on where, or in length, they differ.
func Equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
