package picture

import (
	"github.com/skip2/go-qrcode"
)

// code is the square of modules of one QR code, without quiet zone.
type code struct {
	modules [][]bool // [y][x], true is dark
}

// width returns the number of modules in a row.
func (c *code) width() int { return len(c.modules) }

// newCode makes the modules of text. The error is a *tooLongError.
func newCode(text string, l Level) (*code, error) {
	q, err := encode(text, l)
	if err != nil {
		return nil, err
	}
	return &code{modules: q.Bitmap()}, nil
}

// encode chooses the version; the modules are not made before they are asked for.
func encode(text string, l Level) (*qrcode.QRCode, error) {
	tooLong := &tooLongError{level: l, length: len(text), limit: limitOf(text, l)}
	if len(text) > longest {
		return nil, tooLong // spares the encoder a text of any size
	}
	q, err := qrcode.New(text, levels[l].recovery)
	if err != nil {
		return nil, tooLong
	}
	q.DisableBorder = true
	return q, nil
}

// longest is the most that any QR code holds: 7089 digits at level L.
const longest = 7089

// limitOf returns how many bytes a text of this kind may have at the level. The
// encoder mixes segments, so that a text with long runs of digits or capitals may
// fit although it is longer; one that is not longer always fits.
func limitOf(text string, l Level) int {
	digits, capitals := true, true
	for i := range len(text) {
		c := text[i]
		if '0' <= c && c <= '9' {
			continue
		}
		digits = false
		if !isCapital(c) {
			capitals = false
			break
		}
	}
	limits := levels[l]
	switch {
	case digits:
		return limits.digits
	case capitals:
		return limits.capitals
	}
	return limits.bytes
}

// isCapital says whether QR's alphanumeric mode has the character (digits apart).
func isCapital(c byte) bool {
	switch c {
	case ' ', '$', '%', '*', '+', '-', '.', '/', ':':
		return true
	}
	return 'A' <= c && c <= 'Z'
}
