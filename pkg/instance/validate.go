package instance

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The validators of this package check one value that came from outside each.
// They take the JSON path of the value, add what is wrong to f and return the
// value in the form in which it is stored. What they return for a bad value
// has no meaning. No message repeats the value: it may be a secret.

// Limits of the values that a user gives.
const (
	MaxNameLength       = 100
	MaxLabelLength      = 1000
	MaxDeviceNameLength = 50

	MinNumber uint64 = 10_000_000
	MaxNumber uint64 = 999_999_999_999

	// DefaultQRTimeout, MinQRTimeout and MaxQRTimeout are in seconds.
	DefaultQRTimeout uint32 = 120
	MinQRTimeout     uint32 = 20
	MaxQRTimeout     uint32 = 1800

	MinTokenLength = 16
	MaxTokenLength = 256

	MaxIdempotencyKeyLength = 255

	DefaultPageSize uint32 = 50
	MaxPageSize     uint32 = 500
)

// CheckName checks the name of an instance: 1 to MaxNameLength characters once
// white space around it is cut off, valid UTF-8, no control characters, no
// "/", not "." or "..", and not the form of a UUID, which would read as an id.
// Whether it equals a number or a name in use is not known here.
func CheckName(f *FieldErrors, field, name string) string {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		f.Add(field, "is required: 1 to %d characters", MaxNameLength)
	case !utf8.ValidString(name):
		f.Add(field, "must be valid UTF-8")
	case utf8.RuneCountInString(name) > MaxNameLength:
		f.Add(field, "must have at most %d characters", MaxNameLength)
	case hasControl(name):
		f.Add(field, "must not contain control characters")
	case strings.Contains(name, "/"):
		f.Add(field, `must not contain "/"`)
	case name == "." || name == "..":
		f.Add(field, `must not be "." or ".."`)
	default:
		if _, ok := ParseID(name); ok {
			f.Add(field, "must not look like an id (a UUID)")
		}
	}
	return name
}

// NameAsNumber returns the number that a name would be read as in a route or
// request, where numbers come before names. ok is false for a name that can
// not be taken for a number.
func NameAsNumber(name string) (n uint64, ok bool) {
	if name == "" || name[0] < '1' || name[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(name, 10, 64)
	return n, err == nil && n >= MinNumber && n <= MaxNumber
}

// CheckNumber checks the number that a creator chose: 8 to 12 digits.
func CheckNumber(f *FieldErrors, field string, n uint64) {
	if n < MinNumber || n > MaxNumber {
		f.Add(field, "must have 8 to 12 digits; leave it out to have one made")
	}
}

// CheckPhone checks a phone number in international form and returns its 5 to
// 15 digits. A leading "+", spaces, dashes and parentheses are accepted.
func CheckPhone(f *FieldErrors, field, phone string) string {
	digits, ok := PhoneDigits(phone)
	if !ok {
		f.Add(field, "must be a phone number in international form: country code first, 5 to 15 digits")
	}
	return digits
}

// PhoneDigits returns the digits of a phone number in international form, the
// way it is stored. ok is false for anything else.
func PhoneDigits(phone string) (digits string, ok bool) {
	phone = strings.TrimPrefix(strings.TrimSpace(phone), "+")
	out := make([]byte, 0, len(phone))
	for i := range len(phone) {
		switch c := phone[i]; {
		case '0' <= c && c <= '9':
			out = append(out, c)
		case c == ' ' || c == '-' || c == '(' || c == ')':
		default:
			return "", false
		}
	}
	if len(out) < 5 || len(out) > 15 || out[0] == '0' {
		return "", false
	}
	return string(out), true
}

// CheckQRTimeout checks the length of a pairing window in seconds and replaces
// 0 by DefaultQRTimeout.
func CheckQRTimeout(f *FieldErrors, field string, seconds uint32) uint32 {
	if seconds == 0 {
		return DefaultQRTimeout
	}
	checkRange(f, field, seconds, MinQRTimeout, MaxQRTimeout, "seconds")
	return seconds
}

// CheckWindow checks the length of a window that a dialect asked for, in
// seconds; 0 leaves it to the instance.
func CheckWindow(f *FieldErrors, field string, seconds uint32) {
	const longest = 24 * 60 * 60
	if seconds != 0 {
		checkRange(f, field, seconds, 1, longest, "seconds")
	}
}

// CheckProvider checks the name of a provider.
func CheckProvider(f *FieldErrors, field, provider string) Provider {
	p := Provider(provider)
	switch {
	case provider == "":
		f.Add(field, "is required: %s", oneOf(Providers()))
	case !p.Valid():
		f.Add(field, "must be %s", oneOf(Providers()))
	}
	return p
}

// CheckPhase checks the phase that a list is restricted to; empty is any.
func CheckPhase(f *FieldErrors, field, phase string) Phase {
	p := Phase(phase)
	if phase != "" && !p.Valid() {
		f.Add(field, "must be %s", oneOf(Phases()))
	}
	return p
}

// CheckMethod checks a method of linking and replaces the empty one by MethodQR.
func CheckMethod(f *FieldErrors, field, method string) Method {
	m := Method(method)
	switch {
	case method == "":
		return MethodQR
	case !m.Valid():
		f.Add(field, `must be "qr" or "code"`)
	}
	return m
}

// CheckToken checks a token that a creator chose: MinTokenLength to
// MaxTokenLength printable ASCII characters without spaces.
func CheckToken(f *FieldErrors, field, token string) {
	if !printable(token, MinTokenLength, MaxTokenLength) {
		f.Add(field, "must be %d to %d printable ASCII characters without spaces", MinTokenLength, MaxTokenLength)
	}
}

// CheckTokenHash checks the lower-case hex SHA-256 of a token.
func CheckTokenHash(f *FieldErrors, field, hash string) {
	ok := len(hash) == 64
	for i := range len(hash) {
		ok = ok && isHex(hash[i]) && hash[i] == lower(hash[i])
	}
	if !ok {
		f.Add(field, "must be a SHA-256 in 64 lower-case hex digits")
	}
}

// CheckIdempotencyKey checks the key of a creation; empty is none.
func CheckIdempotencyKey(f *FieldErrors, field, key string) {
	checkText(f, field, key, MaxIdempotencyKeyLength)
}

// CheckLabel checks the free text that a dialect calls an instance by.
func CheckLabel(f *FieldErrors, field, label string) string {
	checkText(f, field, label, MaxLabelLength)
	return label
}

// CheckDeviceName checks what the phone is to show in its list of linked devices.
func CheckDeviceName(f *FieldErrors, field, name string) string {
	name = strings.TrimSpace(name)
	checkText(f, field, name, MaxDeviceNameLength)
	return name
}

// What is said to somebody who gives a client version in another form.
const (
	WhatsAppVersionForm   = `must be 2.3000.<number>; every other form, 1.x included, is retired; ` + WhatsAppVersionSource
	WhatsAppVersionSource = `the current number is client_revision in the page source of https://web.whatsapp.com`
)

// CheckWhatsAppVersion checks a client version, "2.3000.<number>"; empty is
// none: the one that the program finds or was built with.
func CheckWhatsAppVersion(f *FieldErrors, field, version string) {
	if version == "" {
		return
	}
	build, ok := strings.CutPrefix(version, "2.3000.")
	n, err := strconv.ParseUint(build, 10, 32)
	if !ok || err != nil || n == 0 || n > math.MaxUint32 || strconv.FormatUint(n, 10) != build {
		f.Add(field, "%s", WhatsAppVersionForm)
	}
}

// CheckPageSize checks the length of a page and replaces 0 by DefaultPageSize.
func CheckPageSize(f *FieldErrors, field string, size uint32) uint32 {
	if size == 0 {
		return DefaultPageSize
	}
	checkRange(f, field, size, 1, MaxPageSize, "")
	return size
}

// Path joins a prefix and a field to a JSON path: "webhooks[0]" and "url" to "webhooks[0].url".
func Path(prefix, field string) string {
	if prefix == "" {
		return field
	}
	return prefix + "." + field
}

func checkRange(f *FieldErrors, field string, n, low, high uint32, unit string) {
	if n < low || n > high {
		f.Add(field, "%s", strings.TrimSpace("must be "+strconv.FormatUint(uint64(low), 10)+" to "+strconv.FormatUint(uint64(high), 10)+" "+unit))
	}
}

func checkText(f *FieldErrors, field, text string, most int) {
	switch {
	case !utf8.ValidString(text):
		f.Add(field, "must be valid UTF-8")
	case utf8.RuneCountInString(text) > most:
		f.Add(field, "must have at most %d characters", most)
	case hasControl(text):
		f.Add(field, "must not contain control characters")
	}
}

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

func printable(s string, low, high int) bool {
	if len(s) < low || len(s) > high {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// oneOf writes a closed list for people: "a", "b" or "c".
func oneOf[T ~string](words []T) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(string(w)))
	}
	return b.String()
}
