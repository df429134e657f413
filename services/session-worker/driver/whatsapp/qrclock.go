package whatsapp

import (
	"slices"
	"strings"
	"time"
)

// firstCodeLife and codeLife are how long WhatsApp Web shows its codes. Only a
// full set of six begins with a long one.
const (
	firstCodeLife = 60 * time.Second
	codeLife      = 20 * time.Second
	fullSet       = 6
)

// standardLife is the life of the code with the given index, of a set of total.
func standardLife(index, total int) time.Duration {
	if index == 0 && total == fullSet {
		return firstCodeLife
	}
	return codeLife
}

// qrClock says which of a connection's QR codes is to be shown. It goes by the
// time that has passed, so a process that was stopped for a while does not show
// a code whose time is over.
type qrClock struct {
	codes []string
	life  func(index, total int) time.Duration
	index int
	// ends is the end of the current code.
	ends time.Time
}

func newQRClock(codes []string, now time.Time, life func(index, total int) time.Duration) *qrClock {
	c := &qrClock{codes: codes, life: life, ends: now}
	if len(codes) > 0 {
		c.ends = now.Add(life(0, len(codes)))
	}
	return c
}

// at moves the clock to now and returns the code of that time; false when all are used up.
func (c *qrClock) at(now time.Time) (code string, ok bool) {
	for c.index < len(c.codes) && !now.Before(c.ends) {
		c.index++
		if c.index < len(c.codes) {
			c.ends = c.ends.Add(c.life(c.index, len(c.codes)))
		}
	}
	if c.index >= len(c.codes) {
		return "", false
	}
	return c.codes[c.index], true
}

// last returns when the last code ends: the server closes the connection then.
func (c *qrClock) last() time.Time {
	end := c.ends
	for i := c.index + 1; i < len(c.codes); i++ {
		end = end.Add(c.life(i, len(c.codes)))
	}
	return end
}

// redraw replaces the secret in every code, as whatsmeow's makeQRData would: the
// server has it rotated, and a code with the old one ends the link with an error.
func (c *qrClock) redraw(oldSecret, newSecret string) {
	for i, code := range c.codes {
		fields := strings.Split(code, ",")
		if at := slices.Index(fields, oldSecret); at > 0 {
			fields[at] = newSecret
			c.codes[i] = strings.Join(fields, ",")
		}
	}
}
