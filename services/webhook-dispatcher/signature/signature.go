// Package signature signs and verifies webhooks by Standard Webhooks v1:
// HMAC-SHA256 over "<id>.<timestamp>.<body>".
//
// It stands outside internal because receivers need it too: the demo's
// receiver and the lab verify with it what the dispatcher signed. It imports
// the standard library only.
package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a signed webhook.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

// Prefix is what every secret begins with.
const Prefix = "whsec_"

// The length of a key in bytes, before base64.
const (
	MinKey = 24
	MaxKey = 64
)

// Tolerance is how far a receiver's clock may be from the sender's.
const Tolerance = 5 * time.Minute

const version = "v1,"

// The ways in which a webhook fails to verify. None of them says what was
// expected, so all are safe to log.
var (
	ErrSecret    = errors.New("signature: the secret is not whsec_ and the base64 of 24 to 64 bytes")
	ErrHeaders   = errors.New("signature: webhook-id, webhook-timestamp or webhook-signature is missing or malformed")
	ErrTimestamp = errors.New("signature: the timestamp is more than five minutes off")
	ErrMismatch  = errors.New("signature: no signature matches")
)

// Key is the decoded form of a secret. It prints as a placeholder.
type Key struct{ raw []byte }

// String hides the key from logs.
func (Key) String() string { return "whsec_…" }

// GoString hides the key from logs.
func (Key) GoString() string { return "signature.Key{…}" }

// ParseSecret decodes one secret; it returns ErrSecret for anything that is
// not "whsec_" and the standard base64 of 24 to 64 bytes. Padding may be left out.
func ParseSecret(secret string) (Key, error) {
	encoded, ok := strings.CutPrefix(secret, Prefix)
	if !ok {
		return Key{}, ErrSecret
	}
	// The decoder itself would skip line breaks.
	if strings.ContainsAny(encoded, "\r\n") {
		return Key{}, ErrSecret
	}
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
	if err != nil || len(raw) < MinKey || len(raw) > MaxKey {
		return Key{}, ErrSecret
	}
	return Key{raw: raw}, nil
}

// ParseSecrets decodes a space-separated list of at least one secret, as it
// is written down while a secret is being changed.
func ParseSecrets(list string) ([]Key, error) {
	fields := strings.Fields(list)
	if len(fields) == 0 {
		return nil, ErrSecret
	}
	keys := make([]Key, 0, len(fields))
	for _, f := range fields {
		k, err := ParseSecret(f)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// Sign returns the value of the header webhook-signature: one v1 signature
// for each key, separated by spaces, in the order of the keys. at is the time
// of this attempt; id stays the same over all attempts.
func Sign(keys []Key, id string, at time.Time, body []byte) string {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	var b strings.Builder
	for i, k := range keys {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(version)
		b.WriteString(base64.StdEncoding.EncodeToString(sum(k, id, timestamp, body)))
	}
	return b.String()
}

func sum(k Key, id, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, k.raw)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// Verify tells whether a request with these headers and this body was signed
// with one of the keys at most Tolerance from now. Signatures of unknown
// versions are passed over. The comparison takes constant time.
func Verify(keys []Key, h http.Header, body []byte, now time.Time) error {
	id, timestamp, list := h.Get(HeaderID), h.Get(HeaderTimestamp), h.Get(HeaderSignature)
	if id == "" || list == "" {
		return ErrHeaders
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return ErrHeaders
	}
	if off := now.Sub(time.Unix(seconds, 0)); off > Tolerance || off < -Tolerance {
		return ErrTimestamp
	}
	for part := range strings.FieldsSeq(list) {
		encoded, ok := strings.CutPrefix(part, version)
		if !ok {
			continue
		}
		got, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			continue
		}
		for _, k := range keys {
			if hmac.Equal(got, sum(k, id, timestamp, body)) {
				return nil
			}
		}
	}
	return ErrMismatch
}
