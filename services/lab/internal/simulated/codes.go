package simulated

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"
)

// Lives of codes, unless a fault says otherwise.
const (
	codeLife        = 20 * time.Second
	pairingCodeLife = 180 * time.Second
)

// newCodeText returns a QR text of the shape and length of a real messenger's:
// a reference of varying length and three keys, between commas.
func newCodeText() string {
	random := make([]byte, 1+64+3*32)
	_, _ = rand.Read(random)
	reference := 40 + int(random[0])%25
	parts := []string{"S@" + base64.StdEncoding.EncodeToString(random[1:1+reference])}
	for key := random[65:]; len(key) > 0; key = key[32:] {
		parts = append(parts, base64.StdEncoding.EncodeToString(key[:32]))
	}
	return strings.Join(parts, ",") + ",1"
}

// typedAlphabet is of 32 characters that are not mistaken for one another: no 0, I, O or U.
const typedAlphabet = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"

const typedLength = 8

func newTypedCode() string {
	code := make([]byte, typedLength)
	_, _ = rand.Read(code)
	for i, b := range code {
		code[i] = typedAlphabet[b%32]
	}
	return string(code)
}

// normalizeTyped is what the phone makes of what was typed.
func normalizeTyped(code string) string {
	return strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(code))
}

// typedKey is what a pairing code is for.
type typedKey struct{ instance, phone string }

// typedCode is a pairing code. It outlives its session: asked for again in its
// life, the same code is given.
type typedCode struct {
	key     typedKey
	text    string
	expires time.Time
	session *session
	timer   *time.Timer
}

type typedCodes struct {
	byKey  map[typedKey]*typedCode
	byText map[string]*typedCode
}

func newTypedCodes() typedCodes {
	return typedCodes{byKey: map[typedKey]*typedCode{}, byText: map[string]*typedCode{}}
}
