package picture_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"pairgate.dev/services/qr-renderer/internal/picture"
)

// scan reads the QR code in img with a decoder that shares no code with the
// encoder. Like a phone it tries more than once: first it looks for the code as in
// a photograph; in about one of a hundred flawless codes this decoder takes other
// modules for a finder pattern, and then it is told that the picture is nothing but a code.
func scan(img image.Image) (string, error) {
	source, err := luminance(img)
	if err != nil {
		return "", err
	}
	var first error
	for _, try := range []struct {
		binarizer gozxing.Binarizer
		hint      gozxing.DecodeHintType
	}{
		{gozxing.NewHybridBinarizer(source), gozxing.DecodeHintType_TRY_HARDER},
		{gozxing.NewGlobalHistgramBinarizer(source), gozxing.DecodeHintType_PURE_BARCODE},
	} {
		bitmap, err := gozxing.NewBinaryBitmap(try.binarizer)
		if err != nil {
			return "", err
		}
		r, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{
			try.hint:                             true,
			gozxing.DecodeHintType_CHARACTER_SET: "UTF-8",
		})
		if err == nil {
			return r.GetText(), nil
		}
		if first == nil {
			first = err
		}
	}
	return "", first
}

// luminance is what gozxing.NewLuminanceSourceFromImage makes, by the same weights,
// but asks for each colour of the palette once and not for each pixel.
func luminance(img image.Image) (gozxing.LuminanceSource, error) {
	p, ok := img.(*image.Paletted)
	if !ok || p.Stride != p.Rect.Dx() {
		return nil, fmt.Errorf("a %T", img)
	}
	var grey [256]byte
	for i, c := range p.Palette {
		r, g, b, _ := c.RGBA()
		grey[i] = byte((r + 2*g + b) * 255 / (4 * 0xffff))
	}
	pixels := make([]byte, len(p.Pix))
	for i, index := range p.Pix {
		pixels[i] = grey[index]
	}
	return gozxing.NewPlanarYUVLuminanceSource(pixels, p.Rect.Dx(), p.Rect.Dy(), 0, 0, p.Rect.Dx(), p.Rect.Dy(), false)
}

// look turns any picture into pixels, without help of the package under test.
func look(p picture.Picture) (image.Image, error) {
	switch p.ContentType {
	case "image/png":
		return png.Decode(bytes.NewReader(p.Data))
	case "image/svg+xml":
		return rasterise(p.Data)
	case "text/plain; charset=utf-8":
		return screen(string(p.Data), false)
	}
	return nil, fmt.Errorf("content type %q", p.ContentType)
}

// mustDecode draws text and fails the test unless the picture reads as text. It
// returns the picture's pixels.
func mustDecode(tb testing.TB, text string, o picture.Options) image.Image {
	tb.Helper()
	p, err := picture.Draw(text, o)
	if err != nil {
		tb.Fatalf("Draw(%d bytes, %+v): %v", len(text), o, err)
	}
	img, err := look(p)
	if err != nil {
		tb.Fatalf("%+v: not a picture: %v", o, err)
	}
	got, err := scan(img)
	if err != nil {
		tb.Fatalf("%d bytes, %+v: does not decode: %v", len(text), o, err)
	}
	if got != text {
		tb.Fatalf("%+v: decodes to %q, not %q", o, got, text)
	}
	return img
}

// rasterise draws the only SVG there may be: a background and one path of rectangles.
func rasterise(data []byte) (image.Image, error) {
	var svg struct {
		Width   int    `xml:"width,attr"`
		Height  int    `xml:"height,attr"`
		ViewBox string `xml:"viewBox,attr"`
		Render  string `xml:"shape-rendering,attr"`
		Rect    []struct {
			Width  int    `xml:"width,attr"`
			Height int    `xml:"height,attr"`
			Fill   string `xml:"fill,attr"`
		} `xml:"rect"`
		Path []struct {
			Fill      string `xml:"fill,attr"`
			Transform string `xml:"transform,attr"`
			D         string `xml:"d,attr"`
		} `xml:"path"`
	}
	if err := xml.Unmarshal(data, &svg); err != nil {
		return nil, err
	}
	if len(svg.Rect) != 1 || len(svg.Path) != 1 || svg.Render != "crispEdges" || svg.Width != svg.Height {
		return nil, fmt.Errorf("%d rectangles, %d paths, rendering %q, %d by %d",
			len(svg.Rect), len(svg.Path), svg.Render, svg.Width, svg.Height)
	}
	size := svg.Width
	if want := fmt.Sprintf("0 0 %d %d", size, size); svg.ViewBox != want || svg.Rect[0].Width != size || svg.Rect[0].Height != size {
		return nil, fmt.Errorf("viewBox %q, background %+v", svg.ViewBox, svg.Rect[0])
	}
	var left, top, scale int
	if _, err := fmt.Sscanf(svg.Path[0].Transform, "translate(%d %d) scale(%d)", &left, &top, &scale); err != nil {
		return nil, err
	}
	foreground, err := hexColor(svg.Path[0].Fill)
	if err != nil {
		return nil, err
	}
	background, err := hexColor(svg.Rect[0].Fill)
	if err != nil {
		return nil, err
	}
	img := image.NewPaletted(image.Rect(0, 0, size, size), color.Palette{background, foreground})
	for sub := range strings.SplitSeq(strings.TrimSuffix(svg.Path[0].D, "z"), "z") {
		var x, y, n, back int
		if _, err := fmt.Sscanf(sub, "M%d %dh%dv1H%d", &x, &y, &n, &back); err != nil {
			return nil, fmt.Errorf("subpath %q: %w", sub, err)
		}
		r := image.Rect(left+x*scale, top+y*scale, left+(x+n)*scale, top+(y+1)*scale)
		if back != x || r.Empty() || !r.In(img.Rect) {
			return nil, fmt.Errorf("subpath %q is no rectangle of the picture", sub)
		}
		draw.Draw(img, r, image.NewUniform(foreground), image.Point{}, draw.Src)
	}
	return img, nil
}

func hexColor(s string) (color.Color, error) {
	v, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 32)
	if err != nil || len(s) != 7 {
		return nil, fmt.Errorf("colour %q", s)
	}
	return color.RGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), 255}, nil
}

// screen is a terminal: letters of 4 by 8 pixels, light on dark or, on a light one,
// dark on light, and one empty letter of the terminal around them.
func screen(s string, lightTerminal bool) (image.Image, error) {
	ground, ink := color.Gray{30}, color.Gray{230}
	if lightTerminal {
		ground, ink = ink, ground
	}
	lines := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
	columns := utf8.RuneCountInString(lines[0])
	img := image.NewPaletted(image.Rect(0, 0, (columns+2)*4, (len(lines)+2)*8), color.Palette{ground, ink})
	for row, line := range lines {
		if utf8.RuneCountInString(line) != columns {
			return nil, fmt.Errorf("line %d has another length than the first", row)
		}
		column := 0
		for _, letter := range line {
			from, to := 0, 8
			switch letter {
			case ' ':
				from = 8
			case '▀':
				to = 4
			case '▄':
				from = 4
			case '█':
			default:
				return nil, fmt.Errorf("letter %q", letter)
			}
			for y := from; y < to; y++ {
				for x := range 4 {
					img.SetColorIndex((column+1)*4+x, (row+1)*8+y, 1)
				}
			}
			column++
		}
	}
	return img, nil
}

// codeText looks like the text of a WhatsApp code: a fixed alphabet and length, not a secret.
func codeText(seed uint64) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	r := rand.New(rand.NewPCG(seed, 1))
	b := []byte("2@")
	for part, n := range []int{103, 44, 44, 44} {
		if part > 0 {
			b = append(b, ',')
		}
		for range n - 1 {
			b = append(b, alphabet[r.IntN(len(alphabet))])
		}
		b = append(b, '=')
	}
	return string(b)
}
