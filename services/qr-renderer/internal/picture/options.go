package picture

import (
	"github.com/skip2/go-qrcode"

	"pairgate.dev/pkg/instance"
)

// Format is the kind of a picture.
type Format string

// The formats of this version.
const (
	PNG  Format = "png"
	SVG  Format = "svg"
	Text Format = "txt"
)

// Level is a level of error correction: how much of a picture may be damaged.
type Level string

// The levels of the standard: 7, 15, 25 and 30 % may be damaged.
const (
	LevelL Level = "L"
	LevelM Level = "M"
	LevelQ Level = "Q"
	LevelH Level = "H"
)

// levels holds for each level the encoder's name for it and how much the largest
// code, version 40, holds in the three modes of the standard.
var levels = map[Level]struct {
	recovery                qrcode.RecoveryLevel
	digits, capitals, bytes int
}{
	LevelL: {qrcode.Low, 7089, 4296, 2953},
	LevelM: {qrcode.Medium, 5596, 3391, 2331},
	LevelQ: {qrcode.High, 3993, 2420, 1663},
	LevelH: {qrcode.Highest, 3057, 1852, 1273},
}

// Defaults of the options. Their limits are those of [instance.CheckQRStyle].
const (
	DefaultSize   = 320
	DefaultMargin = 4
	DefaultLevel  = LevelM
)

// Options say how a picture looks. The zero value of each field stands for its default.
type Options struct {
	// Format is PNG when empty.
	Format Format
	// Style holds the colours "#rrggbb" of the dark and of the light modules (black and
	// white when empty), the level (DefaultLevel when empty), the width and height in
	// pixels (DefaultSize when 0) and the width of the quiet zone in modules
	// (DefaultMargin when 0). Text has no size and no colours; there they are checked
	// and then ignored.
	Style instance.QRStyle
	// Invert draws Text for a terminal with dark letters on a light ground; without it
	// the text is for light letters on a dark ground.
	Invert bool
	// Grow lets a picture be larger than Size when the code has more modules than Size
	// has pixels, instead of refusing it.
	Grow bool
}

// style is what Options mean once they are found good.
type style struct {
	format                 Format
	size, margin           int
	level                  Level
	foreground, background rgb
	invert, grow           bool
}

// parse returns the style and the bad fields. Every field of the style is
// usable even when some are bad: a bad one has its default.
func (o Options) parse() (style, instance.FieldErrors) {
	var bad instance.FieldErrors
	st := style{format: PNG, size: DefaultSize, margin: DefaultMargin, level: DefaultLevel,
		foreground: black, background: white, invert: o.Invert, grow: o.Grow}

	switch o.Format {
	case PNG, SVG, Text:
		st.format = o.Format
	case "":
	default:
		bad.Add("format", `must be "png", "svg" or "txt"`)
	}
	s := instance.CheckQRStyle(&bad, "", o.Style)
	if s.Size != 0 {
		st.size = int(s.Size)
	}
	if s.Margin != 0 {
		st.margin = int(s.Margin)
	}
	if _, ok := levels[Level(s.Level)]; ok {
		st.level = Level(s.Level)
	}
	if c, ok := parseRGB(s.Foreground); ok {
		st.foreground = c
	}
	if c, ok := parseRGB(s.Background); ok {
		st.background = c
	}
	return st, bad
}
