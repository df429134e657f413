package seal

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a text that must not be printed. Every way of formatting it (fmt
// with any verb, JSON and text encoding, slog, zap's Any and Reflect) yields
// "[redacted]", or nothing when it is empty, so that "is it set" can be seen.
// [Secret.Reveal] and a conversion to string are the ways out; don't use one as
// the key of a map, where encoding/json takes the text as it is.
type Secret string

// Reveal returns the text. Don't log or format the result.
func (s Secret) Reveal() string { return string(s) }

// String returns "[redacted]", or "" for the empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString is what %#v prints; the same as [Secret.String], quoted.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// Format implements [fmt.Formatter], because %x and %d would else print the bytes.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		text = s.GoString()
	}
	// A formatter has nobody to hand a write error to.
	_, _ = io.WriteString(f, text)
}

// MarshalText implements [encoding.TextMarshaler]: YAML, XML and flags.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON implements [encoding/json.Marshaler].
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(s.GoString()), nil }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
