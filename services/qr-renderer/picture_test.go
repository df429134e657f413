package renderer_test

import (
	"bytes"
	"fmt"
	"image/png"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// decode reads a PNG with a decoder that shares no code with the renderer.
func decode(t *testing.T, data []byte) string {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("no PNG: %v", err)
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		t.Fatal(err)
	}
	r, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{
		gozxing.DecodeHintType_PURE_BARCODE:  true,
		gozxing.DecodeHintType_CHARACTER_SET: "UTF-8",
	})
	if err != nil {
		t.Fatalf("does not decode: %v", err)
	}
	return r.GetText()
}

// look returns the width of a PNG and the colour of its darker pixels.
func look(t *testing.T, data []byte) (width int, colour string) {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("no PNG: %v", err)
	}
	background := img.At(0, 0)
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			if c := img.At(x, y); c != background {
				r, g, b, _ := c.RGBA()
				return img.Bounds().Dx(), fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
			}
		}
	}
	t.Fatal("an empty picture")
	return 0, ""
}
