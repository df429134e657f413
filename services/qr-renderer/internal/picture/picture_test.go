package picture_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/skip2/go-qrcode"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/qr-renderer/internal/picture"
)

var (
	levels  = []string{"L", "M", "Q", "H"}
	formats = []picture.Format{picture.PNG, picture.SVG, picture.Text}
)

func TestEveryPictureDecodes(t *testing.T) {
	for _, format := range formats {
		for _, level := range levels {
			for _, size := range []uint32{64, 96, 100, 128, 200, 256, 320, 333, 512, 640, 1024, 2048} {
				if format == picture.Text && size != 64 {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%d", format, level, size), func(t *testing.T) {
					o := picture.Options{Format: format, Style: instance.QRStyle{Level: level, Size: size}}
					texts := []string{"1", "pairgate", codeText(uint64(size))}
					if size > 256 {
						texts = texts[2:]
					}
					for _, text := range texts {
						p, err := picture.Draw(text, o)
						if err != nil {
							// Only the long text may be too much for so few pixels, and then the answer has a way out.
							least := leastSize(t, err)
							if len(text) < 200 || size >= least || least > 128 {
								t.Fatalf("%d bytes: %v", len(text), err)
							}
							bigger := o
							bigger.Style.Size = least
							mustDecode(t, text, bigger)
							continue
						}
						if format != picture.Text {
							img, err := look(p)
							if err != nil {
								t.Fatal(err)
							}
							if b := img.Bounds(); b != image.Rect(0, 0, int(size), int(size)) {
								t.Fatalf("the picture is %v", b)
							}
						}
						mustDecode(t, text, o)
					}
				})
			}
		}
	}
}

// leastSize returns the size that a problem of a too small picture names.
func leastSize(t *testing.T, err error) uint32 {
	t.Helper()
	p, ok := errors.AsType[*instance.Problem](err)
	if !ok || p.Code != instance.CodeInvalidRequest || len(p.Errors) != 1 || p.Errors[0].Field != "size" {
		t.Fatalf("not a problem of the size: %v", err)
	}
	_, rest, ok := strings.Cut(p.Errors[0].Message, "at least ")
	var least uint32
	if _, err := fmt.Sscanf(rest, "%d pixels", &least); !ok || err != nil {
		t.Fatalf("names no least size: %v", p)
	}
	return least
}

func TestATooSmallSizeGrowsWhereThatIsAllowed(t *testing.T) {
	text := codeText(1)
	_, err := picture.Draw(text, picture.Options{Style: instance.QRStyle{Size: 64, Level: "H"}})
	least := leastSize(t, err)
	img := mustDecode(t, text, picture.Options{Grow: true, Style: instance.QRStyle{Size: 64, Level: "H"}})
	if got := uint32(img.Bounds().Dx()); got != least {
		t.Fatalf("grew to %d pixels, the least size is %d", got, least)
	}
	_, err = picture.Draw(text, picture.Options{Style: instance.QRStyle{Size: least - 1, Level: "H"}})
	if leastSize(t, err) != least {
		t.Fatal(err)
	}
	mustDecode(t, text, picture.Options{Style: instance.QRStyle{Size: least, Level: "H"}})
}

func TestTheQuietZoneIsAtLeastTheMargin(t *testing.T) {
	for _, format := range []picture.Format{picture.PNG, picture.SVG} {
		for margin := uint32(1); margin <= instance.MaxQRMargin; margin++ {
			for _, size := range []uint32{128, 320, 500} {
				img := mustDecode(t, "pairgate", picture.Options{Format: format, Style: instance.QRStyle{Size: size, Margin: margin}})
				dark := bounds(img)
				modules := 21
				least := int(size) / (modules + 2*int(margin)) * int(margin)
				for side, space := range map[string]int{
					"left": dark.Min.X, "top": dark.Min.Y, "right": int(size) - dark.Max.X, "bottom": int(size) - dark.Max.Y,
				} {
					if space < least {
						t.Errorf("%s, %d px, margin %d: %d px on the %s, want %d", format, size, margin, space, side, least)
					}
				}
				if lopsided := (int(size) - dark.Max.X) - dark.Min.X; lopsided < 0 || lopsided > 1 {
					t.Errorf("%d px, margin %d: off the middle by %d px", size, margin, lopsided)
				}
			}
		}
	}
}

// bounds returns the smallest rectangle around the pixels that are not the colour of the corner.
func bounds(img image.Image) image.Rectangle {
	corner := img.At(0, 0)
	var dark image.Rectangle
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			if img.At(x, y) != corner {
				dark = dark.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return dark
}

func TestAModuleIsASquareOfWholePixels(t *testing.T) {
	img := mustDecode(t, codeText(3), picture.Options{Style: instance.QRStyle{Size: 500}})
	dark := bounds(img)
	// The first row of a finder pattern is seven dark modules and a light one.
	run := 0
	for isDark(img.At(dark.Min.X+run, dark.Min.Y)) {
		run++
	}
	scale := run / 7
	if run%7 != 0 || dark.Dx()%scale != 0 || dark.Dx() != dark.Dy() {
		t.Fatalf("a finder of %d pixels in a code of %v", run, dark)
	}
	for y := dark.Min.Y; y < dark.Max.Y; y++ {
		for x := dark.Min.X; x < dark.Max.X; x++ {
			corner := img.At(x-(x-dark.Min.X)%scale, y-(y-dark.Min.Y)%scale)
			if img.At(x, y) != corner {
				t.Fatalf("pixel %d,%d differs from its module", x, y)
			}
		}
	}
}

func isDark(c color.Color) bool { return color.GrayModel.Convert(c).(color.Gray).Y < 128 }

func TestThePNGHasOneBitForEachPixel(t *testing.T) {
	p, err := picture.Draw("pairgate", picture.Options{Style: instance.QRStyle{Foreground: "#175197"}})
	if err != nil {
		t.Fatal(err)
	}
	// Width, height, bit depth, palette, deflate, adaptive filters, not interlaced.
	want := []byte{0, 0, 1, 64, 0, 0, 1, 64, 1, 3, 0, 0, 0}
	if got := p.Data[16:29]; !bytes.Equal(got, want) {
		t.Errorf("header % x, want % x", got, want)
	}
	config, err := png.DecodeConfig(bytes.NewReader(p.Data))
	if err != nil {
		t.Fatal(err)
	}
	colours, ok := config.ColorModel.(color.Palette)
	if !ok || len(colours) != 2 || colours[0] != (color.RGBA{255, 255, 255, 255}) || colours[1] != (color.RGBA{0x17, 0x51, 0x97, 255}) {
		t.Errorf("palette %v", config.ColorModel)
	}
}

func TestTerminalTextDecodesOnItsTerminal(t *testing.T) {
	for _, text := range []string{"1", codeText(4), strings.Repeat("pairgate ", 200)} {
		for _, margin := range []uint32{0, 1, 2, 3, 16} {
			for _, light := range []bool{false, true} {
				p, err := picture.Draw(text, picture.Options{Format: picture.Text, Invert: light, Style: instance.QRStyle{Margin: margin}})
				if err != nil {
					t.Fatal(err)
				}
				img, err := screen(string(p.Data), light)
				if err != nil {
					t.Fatal(err)
				}
				got, err := scan(img)
				if err != nil || got != text {
					t.Errorf("%d bytes, margin %d, light terminal %t: %q, %v", len(text), margin, light, got, err)
				}
			}
		}
	}
}

func TestTerminalTextOfADarkTerminalHasBlocksWhereItIsLight(t *testing.T) {
	dark, err := picture.Draw("pairgate", picture.Options{Format: picture.Text})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(dark.Data), "\n")
	// 21 modules and twice the margin of 4 are 29 rows, 15 lines; the last line feed ends the text.
	if len(lines) != 16 || lines[0] != strings.Repeat("█", 29) || lines[14] != strings.Repeat("█", 29) || lines[15] != "" {
		t.Errorf("%d lines:\n%s", len(lines), dark.Data)
	}
	light, err := picture.Draw("pairgate", picture.Options{Format: picture.Text, Invert: true})
	if err != nil {
		t.Fatal(err)
	}
	opposite := strings.NewReplacer("█", " ", " ", "█", "▀", "▄", "▄", "▀").Replace(string(dark.Data))
	if opposite != string(light.Data) {
		t.Errorf("not the opposite of the text for a dark terminal:\n%s", light.Data)
	}
}

func TestColours(t *testing.T) {
	for _, c := range []struct{ foreground, background, bad string }{
		{"#175197", "", ""},
		{"#175197", "#ffffff", ""},
		{"#175197", "#FFFFFF", ""},
		{"", "#ffff00", ""},
		{"#ff0000", "#ffffff", ""},
		{"#0000ff", "", ""},
		{"#000000", "#999999", ""},
		{"#ffffff", "#000000", "foreground"},
		{"#00ff00", "", "foreground"},
		{"#cccccc", "#ffffff", "foreground"},
		{"", "#333333", "foreground"},
		{"#808080", "#808080", "foreground"},
		{"#777777", "#cccccc", "foreground"},
		{"black", "", "foreground"},
		{"#fff", "", "foreground"},
		{"#12345g", "", "foreground"},
		{"175197", "", "foreground"},
		{"", "#1234567", "background"},
		{"#zzzzzz", "#zzzzzz", "foreground,background"},
	} {
		for _, format := range []picture.Format{picture.PNG, picture.SVG} {
			o := picture.Options{Format: format, Style: instance.QRStyle{Foreground: c.foreground, Background: c.background}}
			if c.bad == "" {
				mustDecode(t, codeText(5), o)
				continue
			}
			_, err := picture.Draw("pairgate", o)
			if got := badFields(t, err); strings.Join(got, ",") != c.bad {
				t.Errorf("%q on %q: bad fields %v, want %s", c.foreground, c.background, got, c.bad)
			}
			for _, secret := range []string{c.foreground, c.background} {
				if secret != "" && strings.Contains(err.Error(), secret) {
					t.Errorf("the error repeats the value: %v", err)
				}
			}
		}
	}
}

func TestEveryPairOfColoursThatIsAcceptedDecodes(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	accepted := 0
	for accepted < 80 {
		o := picture.Options{Style: instance.QRStyle{
			Foreground: fmt.Sprintf("#%06x", r.IntN(1<<24)),
			Background: fmt.Sprintf("#%06x", r.IntN(1<<24)),
		}}
		if _, err := picture.Draw("pairgate", o); err != nil {
			badFields(t, err)
			continue
		}
		accepted++
		mustDecode(t, "pairgate "+o.Style.Foreground+o.Style.Background, o)
	}
}

func badFields(t *testing.T, err error) []string {
	t.Helper()
	p, ok := errors.AsType[*instance.Problem](err)
	if !ok || p.Code != instance.CodeInvalidRequest {
		t.Fatalf("want a problem with bad fields, got %v", err)
	}
	var fields []string
	for _, e := range p.Errors {
		fields = append(fields, e.Field)
	}
	return fields
}

func TestAllBadFieldsAreNamedAtOnce(t *testing.T) {
	o := picture.Options{Format: "gif", Style: instance.QRStyle{Size: 63, Level: "X", Foreground: "red", Background: "blue", Margin: 17}}
	want := []string{"format", "foreground", "background", "level", "size", "margin", "text"}
	for name, text := range map[string]string{"empty": "", "not UTF-8": "\xff", "too long": strings.Repeat("x", 2332)} {
		_, err := picture.Draw(text, o)
		if got := badFields(t, err); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestTheLimitOfEachLevel(t *testing.T) {
	for _, c := range []struct {
		level                   string
		digits, capitals, bytes int
	}{
		{"L", 7089, 4296, 2953},
		{"M", 5596, 3391, 2331},
		{"Q", 3993, 2420, 1663},
		{"H", 3057, 1852, 1273},
	} {
		for letter, limit := range map[string]int{"7": c.digits, "A": c.capitals, "z": c.bytes} {
			o := picture.Options{Style: instance.QRStyle{Level: c.level, Size: 800}}
			mustDecode(t, strings.Repeat(letter, limit), o)
			for _, length := range []int{limit + 1, limit + 5000} {
				text := strings.Repeat(letter, length)
				_, err := picture.Draw(text, o)
				p, ok := errors.AsType[*instance.Problem](err)
				if !ok || p.Code != instance.CodeQRTextTooLong {
					t.Fatalf("level %s, %d of %q: %v", c.level, length, letter, err)
				}
				if !strings.Contains(p.Detail, fmt.Sprint(limit)) || !strings.Contains(p.Detail, fmt.Sprint(length)) {
					t.Errorf("level %s: says neither limit nor length: %v", c.level, p)
				}
				if strings.Contains(p.Error(), text[:20]) {
					t.Errorf("the error repeats the text: %v", p)
				}
			}
		}
	}
}

// Every version of the standard, 1 to 40, decodes when it is full, that is when it
// has room neither for padding nor, often, for a terminator.
func TestEveryVersionDecodes(t *testing.T) {
	text := strings.Repeat("pairgate/", 330)
	for i, level := range []qrcode.RecoveryLevel{qrcode.Low, qrcode.Medium, qrcode.High, qrcode.Highest} {
		for version := 1; version <= 40; version++ {
			if levels[i] != "M" && version%5 != 0 {
				continue
			}
			full := sort.Search(len(text), func(n int) bool {
				q, err := qrcode.New(text[:n+1], level)
				return err != nil || q.VersionNumber > version
			})
			mustDecode(t, text[:full], picture.Options{Style: instance.QRStyle{Level: levels[i], Size: 512}})
		}
	}
}

func TestPicturesFitIntoAMessage(t *testing.T) {
	// The worst text: no runs of equal modules, the largest code, the largest picture.
	r := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	for text.Len() < 2953 {
		text.WriteByte(byte(' ' + r.IntN(95)))
	}
	for _, format := range formats {
		p, err := picture.Draw(text.String(), picture.Options{Format: format, Style: instance.QRStyle{Level: "L", Size: instance.MaxQRSize, Margin: instance.MaxQRMargin}})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes", format, len(p.Data))
		// A third more as base64, and the text itself, with room to spare in 1 MiB.
		if len(p.Data) > 600_000 {
			t.Errorf("%s: %d bytes", format, len(p.Data))
		}
	}
}
