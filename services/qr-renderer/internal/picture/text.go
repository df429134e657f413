package picture

import "strings"

// drawText writes the code with half blocks, two rows of modules in a line of
// letters, so that modules are about square in a terminal. There are no escape
// sequences in it: a block has the colour of the terminal's letters. So that the
// dark modules come out darker than the light ones, light modules are the blocks
// on a dark ground, and dark modules are when inverted, for a light ground.
//
// Lines end with a line feed and are equally long. The number of rows is odd; the
// half line below them prolongs the quiet zone.
func drawText(c *code, st style) []byte {
	blocks := [2][2]string{{" ", "▄"}, {"▀", "█"}} // [upper][lower], 1 is a block
	units := c.width() + 2*st.margin
	block := func(x, y int) int {
		x, y = x-st.margin, y-st.margin
		dark := x >= 0 && y >= 0 && x < c.width() && y < c.width() && c.modules[y][x]
		if dark == st.invert {
			return 1
		}
		return 0
	}
	var b strings.Builder
	b.Grow((units + 1) / 2 * (3*units + 1))
	for y := 0; y < units; y += 2 {
		for x := range units {
			b.WriteString(blocks[block(x, y)][block(x, y+1)])
		}
		b.WriteByte('\n')
	}
	return []byte(b.String())
}
