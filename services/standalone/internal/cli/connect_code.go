package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// qr notes the code that is to be shown; the same one comes twice, as text and with its picture.
func (p *pairing) qr(q *codeBody) {
	switch newer := q.Attempt > p.attempt || q.Attempt == p.attempt && q.Sequence > p.sequence; {
	case q.Code == "":
		p.frame, p.undrawn = frame{title: p.name + ": waiting for the next code"}, false
	case newer:
		p.attempt, p.sequence = q.Attempt, q.Sequence
		p.undrawn = true
		p.frame.note, p.frame.expires = fmt.Sprintf("Code %d.", q.Sequence), q.ExpiresAt
	}
}

// typed shows a code to be typed on the phone.
func (p *pairing) typed(c *codeBody) {
	if c.Code == "" {
		p.frame = frame{title: p.name + ": waiting for the next code"}
		return
	}
	p.frame = frame{title: p.name + ": type this code on the phone", drawing: []string{"", "    " + c.Code, ""}, expires: c.ExpiresAt}
}

// draw fetches the picture of the current code, in a smaller form where the
// usual one does not fit. It leaves the code undrawn when that fails: the code
// may be over, which an event tells, or the next try succeeds.
func (p *pairing) draw(ctx context.Context) {
	look := "?"
	if p.invert {
		look = "?invert=true&"
	}
	for _, form := range []string{"", "level=L&margin=2"} {
		a, err := p.api.get(ctx, one(p.name)+"/qr.txt"+look+form)
		if err != nil {
			if r, ok := errors.AsType[*refusal](err); !ok || r.Status >= http.StatusInternalServerError {
				p.frame.note = "The code could not be drawn; trying again."
			}
			return
		}
		drawing := strings.Split(strings.TrimRight(string(a.body), "\n"), "\n")
		p.frame.title, p.frame.drawing, p.undrawn = p.name+": scan this code with the phone", drawing, false
		if p.view.fits(utf8.RuneCountInString(drawing[0]), len(drawing)) {
			return
		}
	}
}
