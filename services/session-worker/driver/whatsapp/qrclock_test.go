package whatsapp

import (
	"fmt"
	"testing"
	"time"
)

func someCodes(n int) (codes []string) {
	for i := range n {
		codes = append(codes, fmt.Sprintf("https://wa.me/settings/linked_devices#2@ref%d,bm9pc2U=,aWRlbnRpdHk=,c2VjcmV0,1", i))
	}
	return codes
}

func TestClockOfSixCodes(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	c := newQRClock(someCodes(6), start, standardLife)
	if got := c.last().Sub(start); got != 160*time.Second {
		t.Fatalf("six codes are good for %v, want 160 s", got)
	}
	for after, want := range map[time.Duration]int{0: 0, 59: 0, 60: 1, 79: 1, 80: 2, 100: 3, 120: 4, 140: 5, 159: 5} {
		c := newQRClock(someCodes(6), start, standardLife)
		code, ok := c.at(start.Add(after * time.Second))
		if !ok || c.index != want || code != c.codes[want] {
			t.Errorf("after %d s the code is number %d (%v), want %d", after, c.index, ok, want)
		}
	}
	if _, ok := c.at(start.Add(160 * time.Second)); ok {
		t.Error("there is a code after 160 s")
	}
	if _, ok := c.at(start); ok {
		t.Error("the clock goes back")
	}
}

func TestClockOfFewCodes(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	c := newQRClock(someCodes(2), start, standardLife)
	if got := c.last().Sub(start); got != 40*time.Second {
		t.Fatalf("two codes are good for %v, want 40 s: only a full set begins with 60 s", got)
	}
	if _, ok := newQRClock(nil, start, standardLife).at(start); ok {
		t.Error("no codes, and yet one")
	}
}

func TestRedrawnCodesDifferInTheSecretOnly(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	c := newQRClock(someCodes(2), start, standardLife)
	ends := c.ends
	c.redraw("c2VjcmV0", "b3RoZXI=")
	for i, code := range c.codes {
		if want := fmt.Sprintf("https://wa.me/settings/linked_devices#2@ref%d,bm9pc2U=,aWRlbnRpdHk=,b3RoZXI=,1", i); code != want {
			t.Errorf("redrawn as %q", code)
		}
	}
	if c.ends != ends {
		t.Error("redrawing changed the life of a code")
	}
}
