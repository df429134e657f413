// Package picture draws QR codes.
//
// The modules are made by skip2/go-qrcode; what is drawn from them is ours: a
// 1-bit PNG, an SVG of one path, or half blocks for a terminal. Every picture has
// its quiet zone, whole pixels for each module, and decodes with a standard
// decoder at every size, level and pair of colours that [Options] accepts.
//
// No error of this package holds the text or a part of it: a QR text links an account.
package picture

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"pairgate.dev/pkg/instance"
)

// Picture is a drawn QR code.
type Picture struct {
	Data []byte
	// ContentType is the media type of Data.
	ContentType string
}

// Draw draws text as o says. Its error is always an *instance.Problem: with code
// CodeInvalidRequest it names every bad field of o, and "text" when the text is
// empty, not UTF-8 or too long; when nothing but the length is wrong its code is
// CodeQRTextTooLong and it says the limit and the length.
func Draw(text string, o Options) (Picture, error) {
	if bad := Check(text, o); len(bad) > 0 {
		return Picture{}, bad.Err()
	}
	st, _ := o.parse()
	c, err := newCode(text, st.level)
	if err != nil {
		return Picture{}, problem(err)
	}
	return st.draw(c)
}

// Check returns every bad field of a request to draw text as o says. A text that is
// too long is among them only when there are others: alone it is a problem of its own.
func Check(text string, o Options) instance.FieldErrors {
	st, bad := o.parse()
	err := checkText(text)
	if err == nil && len(bad) > 0 {
		_, err = encode(text, st.level)
	}
	if err != nil {
		bad.Add("text", "%v", err)
	}
	return bad
}

func (st style) draw(c *code) (Picture, error) {
	if st.format == Text {
		return Picture{drawText(c, st), "text/plain; charset=utf-8"}, nil
	}
	if least := c.width() + 2*st.margin; st.size < least {
		if !st.grow {
			var fields instance.FieldErrors
			fields.Add("size", "is too small for this text: at level %s with a margin of %d modules the picture needs at least %d pixels",
				st.level, st.margin, least)
			return Picture{}, fields.Err()
		}
		st.size = least
	}
	if st.format == SVG {
		return Picture{drawSVG(c, st), "image/svg+xml"}, nil
	}
	data, err := drawPNG(c, st)
	if err != nil {
		return Picture{}, instance.Problemf(instance.CodeInternal, "The picture could not be written.")
	}
	return Picture{data, "image/png"}, nil
}

// place returns how many pixels a module is wide, and how many stand before the
// first one: the code is in the middle. The size must be large enough.
func (st style) place(c *code) (scale, before int) {
	scale = st.size / (c.width() + 2*st.margin)
	return scale, (st.size - scale*c.width()) / 2
}

// tooLongError says that a text does not fit into a QR code.
type tooLongError struct {
	level         Level
	length, limit int
}

func (e *tooLongError) Error() string {
	return fmt.Sprintf("is %d bytes long; a QR code of level %s holds at most %d", e.length, e.level, e.limit)
}

func problem(err error) error {
	e, ok := errors.AsType[*tooLongError](err)
	if !ok {
		return err
	}
	return &instance.Problem{
		Code:   instance.CodeQRTextTooLong,
		Detail: fmt.Sprintf("The text is %d bytes long; a QR code of level %s holds at most %d.", e.length, e.level, e.limit),
		Errors: []instance.FieldError{{Field: "text", Message: e.Error()}},
	}
}

var (
	errNoText  = errors.New("is required")
	errNotUTF8 = errors.New("is not valid UTF-8")
)

func checkText(text string) error {
	switch {
	case text == "":
		return errNoText
	case !utf8.ValidString(text):
		return errNotUTF8
	}
	return nil
}
