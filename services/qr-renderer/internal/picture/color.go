package picture

import "encoding/hex"

type rgb struct{ r, g, b uint8 }

var (
	black = rgb{0, 0, 0}
	white = rgb{255, 255, 255}
)

func (c rgb) String() string { return "#" + hex.EncodeToString([]byte{c.r, c.g, c.b}) }

// parseRGB reads "#rrggbb".
func parseRGB(s string) (rgb, bool) {
	if len(s) != 7 || s[0] != '#' {
		return rgb{}, false
	}
	b, err := hex.DecodeString(s[1:])
	if err != nil {
		return rgb{}, false
	}
	return rgb{b[0], b[1], b[2]}, true
}
