package retry

import (
	"math"
	"time"
)

// Every is the same pause after every failure, to the moment, without end.
type Every time.Duration

// Pause implements Pauses.
func (e Every) Pause(int, float64) (time.Duration, bool) { return time.Duration(e), true }

// Backoff is a number of attempts with pauses that double, or stay the same.
type Backoff struct {
	// Attempts is how many there are in all.
	Attempts int
	// Initial is the first pause, and the least that jitter makes of any.
	Initial time.Duration
	// Double says that each pause is twice the one before, Max at most.
	Double bool
	Max    time.Duration
	// Jitter is the part of a pause, 0 to 1, by which it is spread either way. A pause
	// that does not double is not spread.
	Jitter float64
}

// Pause implements Pauses.
func (b Backoff) Pause(failed int, random float64) (time.Duration, bool) {
	if failed < 1 || failed >= b.Attempts {
		return 0, false
	}
	if !b.Double {
		return b.Initial, true
	}
	d := math.Min(float64(b.Initial)*math.Pow(2, float64(failed-1)), float64(b.Max))
	d += d * b.Jitter * (2*random - 1)
	return max(time.Duration(d), b.Initial), true
}
