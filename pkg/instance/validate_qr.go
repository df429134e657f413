package instance

import (
	"math"
	"strconv"
	"strings"
)

// Limits of the pictures of QR codes: width and height in pixels, quiet zone in modules.
const (
	MinQRSize   uint32 = 64
	MaxQRSize   uint32 = 2048
	MaxQRMargin uint32 = 16
)

// A pair of colours is accepted from these on. The first is the ratio of the
// luminances of light and dark modules (WCAG); below it phones take long or fail.
// The second is the difference of what standard decoders reckon as grey, 0 to 255;
// they weigh blue more than the eye does, and a violet on a green that people tell
// apart is one grey to them.
const (
	minContrast       = 3.0
	minGreyDifference = 48
)

// QRStyle is how the pictures of an instance's QR codes look. Zero values
// stand for the defaults.
type QRStyle struct {
	Foreground, Background, Level string
	Size, Margin                  uint32
}

// CheckQRStyle checks a style, whose fields are at prefix, and returns it with
// colours in lower case and the level in upper case. Colours that a phone
// could not tell apart are refused, a light code on a dark ground too, which
// many readers do not see.
func CheckQRStyle(f *FieldErrors, prefix string, s QRStyle) QRStyle {
	before := len(*f)
	s.Foreground = CheckColour(f, Path(prefix, "foreground"), s.Foreground)
	s.Background = CheckColour(f, Path(prefix, "background"), s.Background)
	if len(*f) == before && (contrast(s.Foreground, s.Background) < minContrast ||
		grey(s.Background, 255)-grey(s.Foreground, 0) < minGreyDifference) {
		f.Add(Path(prefix, "foreground"), "must be clearly darker than the background, or phones can not read the code")
	}
	s.Level = CheckQRLevel(f, Path(prefix, "level"), s.Level)
	CheckQRSize(f, Path(prefix, "size"), s.Size)
	CheckQRMargin(f, Path(prefix, "margin"), s.Margin)
	return s
}

// CheckColour checks "#rrggbb" and returns it in lower case; empty is the default.
func CheckColour(f *FieldErrors, field, colour string) string {
	if colour == "" {
		return ""
	}
	ok := len(colour) == 7 && colour[0] == '#'
	for i := 1; i < len(colour); i++ {
		ok = ok && isHex(colour[i])
	}
	if !ok {
		f.Add(field, `must be a colour such as "#1a2b3c"`)
	}
	return strings.ToLower(colour)
}

// CheckQRLevel checks a level of error correction and returns it in upper case; empty is the default.
func CheckQRLevel(f *FieldErrors, field, level string) string {
	level = strings.ToUpper(level)
	switch level {
	case "", "L", "M", "Q", "H":
	default:
		f.Add(field, `must be "L", "M", "Q" or "H"`)
	}
	return level
}

// CheckQRSize checks the width of a picture in pixels; 0 is the default.
func CheckQRSize(f *FieldErrors, field string, pixels uint32) {
	if pixels != 0 {
		checkRange(f, field, pixels, MinQRSize, MaxQRSize, "pixels")
	}
}

// CheckQRMargin checks the quiet zone in modules; 0 is the default.
func CheckQRMargin(f *FieldErrors, field string, modules uint32) {
	if modules != 0 {
		checkRange(f, field, modules, 1, MaxQRMargin, "modules")
	}
}

// contrast is the ratio of the luminance of light to that of dark, below 1
// when dark is the lighter one. Empty colours are black and white.
func contrast(dark, light string) float64 {
	return (luminance(light, 1) + 0.05) / (luminance(dark, 0) + 0.05)
}

// grey is the mean of red, blue and twice green.
func grey(colour string, absent int) int {
	if colour == "" {
		return absent
	}
	rgb, err := strconv.ParseUint(strings.TrimPrefix(colour, "#"), 16, 32)
	if err != nil {
		return absent
	}
	return int(rgb>>16+2*(rgb>>8&0xff)+(rgb&0xff)) / 4
}

func luminance(colour string, absent float64) float64 {
	if colour == "" {
		return absent
	}
	rgb, err := strconv.ParseUint(strings.TrimPrefix(colour, "#"), 16, 32)
	if err != nil {
		return absent
	}
	linear := func(shift uint) float64 {
		v := float64(rgb>>shift&0xff) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(16) + 0.7152*linear(8) + 0.0722*linear(0)
}
