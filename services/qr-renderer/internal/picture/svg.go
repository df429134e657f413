package picture

import (
	"fmt"
	"strconv"
)

// drawSVG writes the background as a rectangle and all dark modules as one path,
// a subpath for each run of them in a row. The path's unit is the module; its
// transform puts it where the PNG of the same size has it, so that at its own size
// every module is whole pixels. Stretched to fill the picture they would be of
// uneven width, and decoders fail on that. crispEdges keeps hairlines out between
// modules that touch.
func drawSVG(c *code, st style) []byte {
	scale, before := st.place(c)
	b := make([]byte, 0, 512+c.width()*c.width()*5)
	b = fmt.Appendf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" shape-rendering="crispEdges">`,
		st.size, st.size, st.size, st.size)
	b = fmt.Appendf(b, `<rect width="%d" height="%d" fill="%s"/>`, st.size, st.size, st.background)
	b = fmt.Appendf(b, `<path transform="translate(%d %d) scale(%d)" fill="%s" d="`, before, before, scale, st.foreground)
	for y, row := range c.modules {
		for x := 0; x < len(row); {
			if !row[x] {
				x++
				continue
			}
			start := x
			for x < len(row) && row[x] {
				x++
			}
			b = append(b, 'M')
			b = strconv.AppendInt(b, int64(start), 10)
			b = append(b, ' ')
			b = strconv.AppendInt(b, int64(y), 10)
			b = append(b, 'h')
			b = strconv.AppendInt(b, int64(x-start), 10)
			b = append(b, "v1H"...)
			b = strconv.AppendInt(b, int64(start), 10)
			b = append(b, 'z')
		}
	}
	return append(b, `"/></svg>`+"\n"...)
}
