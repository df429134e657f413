package picture_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/qr-renderer/internal/picture"
)

// FuzzDraw asserts that any text and options give either a picture that reads as
// the text, or a problem that repeats none of it.
func FuzzDraw(f *testing.F) {
	f.Add("pairgate", "png", "M", "", "", uint32(0), uint32(0), false)
	f.Add(codeText(9), "svg", "h", "#175197", "#ffffff", uint32(420), uint32(3), true)
	f.Add("123456789012ABC/%äöü€🙂", "txt", "L", "", "#ffff00", uint32(64), uint32(16), false)
	f.Add(strings.Repeat("x", 3000), "", "L", "", "", uint32(2048), uint32(1), true)
	f.Add("\xff\x00", "gif", "?", "#zzzzzz", "white", uint32(1), uint32(17), false)
	f.Add("\u009f\x00\x7f\ufeff", "png", "", "", "", uint32(0), uint32(0), false)
	f.Fuzz(func(t *testing.T, text, format, level, foreground, background string, size, margin uint32, grow bool) {
		o := picture.Options{
			Format: picture.Format(format), Grow: grow,
			Style: instance.QRStyle{Foreground: foreground, Background: background, Level: level, Size: size, Margin: margin},
		}
		p, err := picture.Draw(text, o)
		if err != nil {
			problem, ok := errors.AsType[*instance.Problem](err)
			if !ok || problem.Code.HTTPStatus() != 400 {
				t.Fatalf("not a problem of the caller's: %v", err)
			}
			if len(text) > 16 && strings.Contains(problem.Error(), text) {
				t.Fatal("the problem repeats the text")
			}
			return
		}
		if !utf8.ValidString(text) {
			t.Fatal("drew what is not UTF-8")
		}
		img, err := look(p)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := scan(img); err != nil || got != text {
			t.Fatalf("%q, %+v: reads %q, %v", text, o, got, err)
		}
	})
}
