package retry_test

import (
	"net/http"
	"testing"
	"time"

	"pairgate.dev/services/webhook-dispatcher/internal/retry"
)

func TestScheduleReadsAndWritesText(t *testing.T) {
	var s retry.Schedule
	if err := s.UnmarshalText([]byte("5s, 30s,2m")); err != nil {
		t.Fatal(err)
	}
	text, err := s.MarshalText()
	if err != nil || string(text) != "5s,30s,2m0s" {
		t.Fatalf("%s, %v", text, err)
	}
	for _, bad := range []string{"", "5", "0s", "-1s", "5s,,", "x"} {
		if err := s.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestPauseStaysWithinAFifth(t *testing.T) {
	s := retry.Default()
	for n, d := range s {
		low, ok1 := s.Pause(n+1, 0)
		high, ok2 := s.Pause(n+1, 0.999999)
		if !ok1 || !ok2 || low != time.Duration(float64(d)*0.8) || high < d || high > d+d/5 {
			t.Errorf("pause %d of %s: %s … %s", n+1, d, low, high)
		}
	}
	if _, ok := s.Pause(len(s)+1, 0.5); ok {
		t.Error("the schedule has no end")
	}
	if _, ok := s.Pause(0, 0.5); ok {
		t.Error("a pause without a failure")
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	cases := map[string]time.Duration{
		"":                     0,
		"0":                    0,
		"7":                    7 * time.Second,
		" 120 ":                2 * time.Minute,
		"-5":                   0,
		"86401":                24 * time.Hour,
		"99999999999999999999": 0,
		"18446744073709551615": 24 * time.Hour,
		"soon":                 0,
		"1.5":                  0,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		now.Add(-time.Hour).Format(http.TimeFormat):       0,
		now.Add(48 * time.Hour).Format(http.TimeFormat):   24 * time.Hour,
	}
	for value, want := range cases {
		if got := retry.After(value, now); got != want {
			t.Errorf("After(%q) = %s, want %s", value, got, want)
		}
	}
}

func FuzzAfter(f *testing.F) {
	f.Add("120")
	f.Add("Fri, 31 Dec 1999 23:59:59 GMT")
	f.Add("-1")
	f.Fuzz(func(t *testing.T, value string) {
		if d := retry.After(value, time.Unix(1700000000, 0)); d < 0 || d > retry.MaxRetryAfter {
			t.Fatalf("%q: %s", value, d)
		}
	})
}

func FuzzSchedule(f *testing.F) {
	f.Add("5s,30s")
	f.Add(",")
	f.Fuzz(func(t *testing.T, value string) {
		var s retry.Schedule
		if s.UnmarshalText([]byte(value)) != nil {
			return
		}
		for n := range s {
			if d, ok := s.Pause(n+1, 0.5); !ok || d < 0 {
				t.Fatalf("%q: pause %d is %s", value, n+1, d)
			}
		}
	})
}
