package picture_test

import (
	"fmt"
	"testing"

	"github.com/skip2/go-qrcode"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/qr-renderer/internal/picture"
)

// BenchmarkModules is the library's part of every picture.
func BenchmarkModules(b *testing.B) {
	text := codeText(0)
	b.ReportAllocs()
	for b.Loop() {
		q, err := qrcode.New(text, qrcode.Medium)
		if err != nil {
			b.Fatal(err)
		}
		q.DisableBorder = true
		q.Bitmap()
	}
}

// BenchmarkDraw is a whole picture, modules included.
func BenchmarkDraw(b *testing.B) {
	text := codeText(0)
	for _, format := range formats {
		b.Run(string(format), func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				p, err := picture.Draw(text, picture.Options{Format: format})
				if err != nil {
					b.Fatal(err)
				}
				size = len(p.Data)
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}

// BenchmarkGoQRCodePNG is the same picture as the library draws it.
func BenchmarkGoQRCodePNG(b *testing.B) {
	text := codeText(0)
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		p, err := qrcode.Encode(text, qrcode.Medium, picture.DefaultSize)
		if err != nil {
			b.Fatal(err)
		}
		size = len(p)
	}
	b.ReportMetric(float64(size), "bytes")
}

// BenchmarkPNG is our step alone: the picture from modules that are there already.
func BenchmarkPNG(b *testing.B) {
	for _, size := range []uint32{picture.DefaultSize, 640, 1024, instance.MaxQRSize} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			draw, err := picture.DrawAgain(codeText(0), picture.Options{Style: instance.QRStyle{Size: size}})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				p, err := draw()
				if err != nil {
					b.Fatal(err)
				}
				n = len(p.Data)
			}
			b.ReportMetric(float64(n), "bytes")
		})
	}
}
