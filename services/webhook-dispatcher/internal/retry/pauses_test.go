package retry_test

import (
	"testing"
	"time"

	"pairgate.dev/services/webhook-dispatcher/internal/retry"
)

func TestBackoffDoublesToItsLimitAndEnds(t *testing.T) {
	b := retry.Backoff{Attempts: 10, Initial: 5 * time.Second, Double: true, Max: 300 * time.Second, Jitter: 0.2}
	var sum time.Duration
	for n, want := range []int{5, 10, 20, 40, 80, 160, 300, 300, 300} {
		d, ok := b.Pause(n+1, 0.5)
		if !ok || d != time.Duration(want)*time.Second {
			t.Errorf("pause %d is %s, want %ds", n+1, d, want)
		}
		sum += d
	}
	if sum != 1215*time.Second {
		t.Errorf("%s in all", sum)
	}
	for _, n := range []int{0, 10, 11} {
		if d, ok := b.Pause(n, 0.5); ok {
			t.Errorf("a pause of %s after attempt %d", d, n)
		}
	}
	if d, _ := b.Pause(1, 0); d != 5*time.Second {
		t.Errorf("jitter makes less than the first pause: %s", d)
	}
	if d, _ := b.Pause(3, 0); d != 16*time.Second {
		t.Errorf("%s", d)
	}
	b.Double = false
	if d, ok := b.Pause(9, 0.99); !ok || d != 5*time.Second {
		t.Errorf("a fixed pause is %s", d)
	}
	if d, ok := retry.Every(time.Minute).Pause(5000, 0.99); !ok || d != time.Minute {
		t.Errorf("%s", d)
	}
}
