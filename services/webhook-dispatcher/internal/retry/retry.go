// Package retry says when a failed delivery is tried again. A policy is data:
// a format of webhooks brings its own, and tests shorten it.
package retry

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter is the longest pause that a receiver can ask for.
const MaxRetryAfter = 24 * time.Hour

// Pauses says how long to wait after a failed attempt.
type Pauses interface {
	// Pause returns how long to wait after the given number of failed attempts, 1 or
	// more; ok is false when there is to be no other attempt. random is in [0,1).
	Pause(failed int, random float64) (d time.Duration, ok bool)
}

// Schedule is the pauses between attempts: the n-th pause follows the n-th
// failure, so there is one attempt more than pauses.
type Schedule []time.Duration

// Default is ten pauses over about 32 hours.
func Default() Schedule {
	return Schedule{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 16 * time.Hour}
}

// What configuration may ask for.
const (
	maxPauses = 100
	maxPause  = 30 * 24 * time.Hour
)

// UnmarshalText reads comma-separated durations such as "5s,30s,2m".
// It refuses an empty list, more than 100 pauses, and a pause that is not positive or longer than 30 days.
func (s *Schedule) UnmarshalText(text []byte) error {
	parts := strings.Split(string(text), ",")
	if len(parts) > maxPauses {
		return fmt.Errorf("more than %d pauses", maxPauses)
	}
	out := make(Schedule, 0, len(parts))
	for _, part := range parts {
		d, err := time.ParseDuration(strings.TrimSpace(part))
		if err != nil {
			return err
		}
		if d <= 0 || d > maxPause {
			return errors.New("a pause must be longer than nothing and at most 720h")
		}
		out = append(out, d)
	}
	*s = out
	return nil
}

// MarshalText writes the schedule as UnmarshalText reads it.
func (s Schedule) MarshalText() ([]byte, error) {
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = d.String()
	}
	return []byte(strings.Join(parts, ",")), nil
}

// Pause returns how long to wait after the given number of failed attempts,
// 1 or more, with a jitter of a fifth either way; ok is false when the
// schedule is exhausted. random is in [0,1).
func (s Schedule) Pause(failed int, random float64) (d time.Duration, ok bool) {
	if failed < 1 || failed > len(s) {
		return 0, false
	}
	return Jitter(s[failed-1], random), true
}

// Jitter spreads d by a fifth either way; random is in [0,1).
func Jitter(d time.Duration, random float64) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*random))
}

// Random is the source of jitter outside tests.
func Random() float64 { return rand.Float64() }

// After reads a Retry-After header, in seconds or as an HTTP date. It returns
// 0 for an absent, past or malformed value and never more than MaxRetryAfter.
func After(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		if seconds > uint64(MaxRetryAfter/time.Second) {
			return MaxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter)
}
