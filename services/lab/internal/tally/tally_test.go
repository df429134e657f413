package tally_test

import (
	"testing"

	"pairgate.dev/services/lab/internal/tally"
)

func TestTally(t *testing.T) {
	x := tally.Tally{}
	check := func(now, most int) {
		t.Helper()
		if n, m := x.Of("a"); n != now || m != most {
			t.Errorf("%d connections, %d at most; want %d and %d", n, m, now, most)
		}
	}
	x.Close("a")
	check(0, 0)
	x.Open("a")
	x.Open("a")
	x.Close("a")
	x.Open("b")
	check(1, 2)
	x.Forget("a")
	x.Close("a")
	check(0, 0)
}
