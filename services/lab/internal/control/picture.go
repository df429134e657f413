package control

import (
	"bytes"
	"image"
	_ "image/gif"  // so that image.Decode knows it
	_ "image/jpeg" // so that image.Decode knows it
	_ "image/png"  // so that image.Decode knows it
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"pairgate.dev/services/lab/internal/refusal"
	"pairgate.dev/services/lab/labapi"
)

const (
	// maxPicture is the largest picture, in bytes.
	maxPicture = 4 << 20
	// maxPixels is the longest side of a picture: decoding takes memory for each pixel.
	maxPixels = 4096
)

// isPicture says whether the body is called a picture.
func isPicture(r *http.Request) bool {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && strings.HasPrefix(t, "image/")
}

// readPicture returns the text of the QR code in the picture.
func readPicture(r io.Reader) (string, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return "", tooLargeOr(err)
	}
	return decodePicture(raw)
}

func decodePicture(raw []byte) (string, error) {
	bad := func(detail string) (string, error) {
		return "", &refusal.Error{Status: http.StatusBadRequest, Reason: labapi.ReasonBadPicture, Detail: detail}
	}
	config, _, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return bad("The body is no PNG, JPEG or GIF picture.")
	}
	if config.Width > maxPixels || config.Height > maxPixels || config.Width < 1 || config.Height < 1 {
		return bad("The picture is too large.")
	}
	picture, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return bad("The picture is damaged.")
	}
	if text, ok := decodeQR(picture); ok {
		return text, nil
	}
	return "", &refusal.Error{Status: http.StatusBadRequest, Reason: labapi.ReasonNoQRInPicture, Detail: "The picture shows no QR code that can be read."}
}

// decodeQR reads as a phone does: first as a photograph, then as a drawing.
func decodeQR(picture image.Image) (string, bool) {
	bitmap, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		return "", false
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
	if err == nil && result.GetText() != "" {
		return result.GetText(), true
	}
	return decodeDrawing(picture)
}
