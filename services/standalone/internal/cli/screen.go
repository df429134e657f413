package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// frame is what connect shows at a moment.
type frame struct {
	title string
	// drawing is a picture in lines, all of them equally long; nil for none.
	drawing []string
	// note stands below the picture.
	note string
	// expires is when the code dies; zero where there is none.
	expires time.Time
}

// view shows frames, the same one again as often as its owner likes.
type view interface {
	show(frame) error
	// fits says whether a picture of that size can be shown.
	fits(columns, lines int) bool
	// close leaves what it is shown on as it was.
	close() error
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// screen redraws in place, on the terminal's other screen, so that no code
// stays behind in what can be scrolled back to.
type screen struct {
	out  *os.File
	tone string
}

// The colours are fixed ones of the 256, because a scanner needs light on dark
// whatever the terminal's own are.
const (
	lightOnDark = "\x1b[38;5;231;48;5;16m"
	darkOnLight = "\x1b[38;5;16;48;5;231m"
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[0m\x1b[?25h\x1b[?1049l"
)

// below is how many lines a frame has beside its picture.
const below = 2

func newScreen(out *os.File, invert bool) (*screen, error) {
	s := &screen{out: out, tone: lightOnDark}
	if invert {
		s.tone = darkOnLight
	}
	_, err := io.WriteString(out, enterScreen)
	return s, err
}

func (s *screen) fits(columns, lines int) bool {
	w, h, err := term.GetSize(int(s.out.Fd()))
	return err != nil || columns <= w && lines+below <= h
}

func (s *screen) show(f frame) error {
	note := f.note
	if !f.expires.IsZero() {
		note = fmt.Sprintf("%s %s left. Ctrl-C leaves.", note, max(0, time.Until(f.expires)).Round(time.Second))
	}
	drawing := f.drawing
	if len(drawing) > 0 {
		if columns := utf8.RuneCountInString(drawing[0]); !s.fits(columns, len(drawing)) {
			note = fmt.Sprintf("The window is too small for the code: make it %d columns and %d lines, or the letters smaller.", columns, len(drawing)+below)
			drawing = nil
		}
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	b.WriteString(clean(f.title) + "\x1b[K\r\n")
	for _, line := range drawing {
		b.WriteString(s.tone + clean(line) + "\x1b[0m\x1b[K\r\n")
	}
	b.WriteString(clean(note) + "\x1b[K\x1b[J")
	_, err := io.WriteString(s.out, b.String())
	return err
}

func (s *screen) close() error {
	_, err := io.WriteString(s.out, leaveScreen)
	return err
}

// page writes each frame once, below the one before: for output that is no terminal.
type page struct {
	out  io.Writer
	last frame
}

func (p *page) fits(int, int) bool { return true }
func (p *page) close() error       { return nil }

func (p *page) show(f frame) error {
	same := f.title == p.last.title && f.note == p.last.note && slices.Equal(f.drawing, p.last.drawing)
	if same {
		return nil
	}
	p.last = f
	var b strings.Builder
	fmt.Fprintln(&b, clean(f.title))
	for _, line := range f.drawing {
		fmt.Fprintln(&b, clean(line))
	}
	if note := clean(f.note); note != "" {
		if !f.expires.IsZero() {
			note += " Until " + moment(f.expires) + "."
		}
		fmt.Fprintln(&b, note)
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}

// blank shows nothing: with --json events are the output.
type blank struct{}

func (blank) show(frame) error   { return nil }
func (blank) fits(int, int) bool { return true }
func (blank) close() error       { return nil }
