package control

import (
	"image"
	"image/draw"
	"math"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
)

// decodeDrawing reads a QR code that was drawn upright and not photographed: what is
// dark is the code and nothing else. The library's own readers pass over about one
// such picture in a hundred, in which other parts look like the code's corners.
func decodeDrawing(picture image.Image) (string, bool) {
	// On white paper, which shows where the picture is transparent.
	gray := image.NewGray(picture.Bounds())
	draw.Draw(gray, gray.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(gray, gray.Rect, picture, gray.Rect.Min, draw.Over)
	box := darkBox(gray)
	// The upper left corner begins with a bar of seven modules.
	bar := 0
	for bar < box.Dx() && dark(gray, box.Min.X+bar, box.Min.Y) {
		bar++
	}
	if bar < 7 {
		return "", false
	}
	// Versions 1 to 40 have 21 to 177 modules, four more each.
	version := int(math.Round((float64(box.Dx())*7/float64(bar) - 17) / 4))
	if version < 1 || version > 40 {
		return "", false
	}
	modules := 17 + 4*version
	bits, err := gozxing.NewSquareBitMatrix(modules)
	if err != nil {
		return "", false
	}
	for y := range modules {
		for x := range modules {
			if dark(gray, box.Min.X+(2*x+1)*box.Dx()/(2*modules), box.Min.Y+(2*y+1)*box.Dy()/(2*modules)) {
				bits.Set(x, y)
			}
		}
	}
	result, err := decoder.NewDecoder().Decode(bits, nil)
	if err != nil || result.GetText() == "" {
		return "", false
	}
	return result.GetText(), true
}

// darkBox is the smallest rectangle with every dark pixel.
func darkBox(gray *image.Gray) image.Rectangle {
	box := image.Rectangle{Min: gray.Rect.Max, Max: gray.Rect.Min}
	for y := gray.Rect.Min.Y; y < gray.Rect.Max.Y; y++ {
		for x := gray.Rect.Min.X; x < gray.Rect.Max.X; x++ {
			if dark(gray, x, y) {
				box.Min = image.Pt(min(box.Min.X, x), min(box.Min.Y, y))
				box.Max = image.Pt(max(box.Max.X, x+1), max(box.Max.Y, y+1))
			}
		}
	}
	return box
}

func dark(gray *image.Gray, x, y int) bool { return gray.GrayAt(x, y).Y < 1<<7 }
