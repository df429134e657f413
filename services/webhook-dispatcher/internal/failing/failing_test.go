package failing_test

import (
	"testing"
	"time"

	"pairgate.dev/services/webhook-dispatcher/internal/failing"
)

func TestOnlyFailuresForDaysDisableAnEndpoint(t *testing.T) {
	const after = 5 * 24 * time.Hour
	var tracker failing.Tracker
	start := time.Unix(1_700_000_000, 0)
	now, noted := start, time.Time{}
	attempt := func(later time.Duration, ok bool, want failing.Action) {
		t.Helper()
		now = now.Add(later)
		do, since := tracker.Attempt(now, "a", ok, noted, after)
		if do != want {
			t.Fatalf("after %s: action %d, want %d", now.Sub(start), do, want)
		}
		switch do {
		case failing.Note:
			noted = since
		case failing.Clear:
			noted = time.Time{}
		}
		tracker.Done("a")
	}
	// One that stumbles costs nothing.
	attempt(0, false, failing.Nothing)
	attempt(failing.Report-time.Second, false, failing.Nothing)
	attempt(time.Second/2, true, failing.Nothing)
	// One that fails on is noted, and a success takes it back.
	attempt(time.Hour, false, failing.Nothing)
	attempt(failing.Report, false, failing.Note)
	if !noted.Equal(now.Add(-failing.Report)) {
		t.Errorf("noted since %s", noted)
	}
	attempt(24*time.Hour, false, failing.Nothing)
	attempt(time.Hour, true, failing.Clear)
	// Days without any success end it.
	attempt(time.Hour, false, failing.Nothing)
	attempt(failing.Report, false, failing.Note)
	attempt(after-failing.Report-time.Second, false, failing.Nothing)
	attempt(time.Second, false, failing.Disable)
	// Another owner knows by the record.
	var other failing.Tracker
	if do, _ := other.Attempt(now, "a", false, noted, after); do != failing.Disable {
		t.Errorf("action %d", do)
	}
	// While one writes, nobody else does.
	if do, _ := other.Attempt(now, "a", false, noted, after); do != failing.Nothing {
		t.Errorf("action %d", do)
	}
	// Some formats never disable.
	if do, _ := tracker.Attempt(now.Add(after), "a", false, noted, 0); do != failing.Nothing {
		t.Errorf("action %d", do)
	}
}

func TestWhatOthersDeliverToIsForgotten(t *testing.T) {
	var tracker failing.Tracker
	start := time.Unix(1_700_000_000, 0)
	for _, endpoint := range []string{"a", "b", "c"} {
		tracker.Attempt(start, endpoint, false, time.Time{}, 0)
	}
	tracker.Forget("a")
	tracker.ForgetAll(func(endpoint string) bool { return endpoint == "b" })
	for endpoint, want := range map[string]failing.Action{"a": failing.Nothing, "b": failing.Nothing, "c": failing.Note} {
		if do, _ := tracker.Attempt(start.Add(failing.Report), endpoint, false, time.Time{}, 0); do != want {
			t.Errorf("%s: action %d", endpoint, do)
		}
	}
}
