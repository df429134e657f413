package bustest_test

import (
	"errors"
	"testing"
	"time"

	"pairgate.dev/pkg/bus/bustest"
)

// recorder is a testing.TB whose failures are looked at instead of failing.
type recorder struct {
	testing.TB
	failed   bool
	reports  int
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Failed() bool     { return r.failed }
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(string, ...any) {
	r.failed = true
	r.reports++
}
func (r *recorder) Fatalf(string, ...any) {
	r.failed = true
	panic(r)
}

func TestCheckForPollsUntilItIsSo(t *testing.T) {
	n := 0
	bustest.CheckFor(t, 10*time.Second, func() error {
		if n++; n < 4 {
			return errors.New("not yet")
		}
		return nil
	})
	r := &recorder{TB: t}
	func() {
		defer func() { _ = recover() }()
		bustest.CheckFor(r, 10*time.Millisecond, func() error { return errors.New("never") })
	}()
	if !r.failed {
		t.Error("what never comes did not fail the test")
	}
}

func TestCheckGoroutines(t *testing.T) {
	r := &recorder{TB: t}
	bustest.CheckGoroutines(r)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		<-quit
		close(done)
	}()
	r.failed = true // a test that has failed is told at once, without waiting
	r.reports = 0
	r.cleanups[0]()
	if r.reports != 1 {
		t.Errorf("%d reports of a goroutine that is running", r.reports)
	}
	close(quit)
	<-done
	r.failed, r.reports = false, 0
	r.cleanups[0]()
	if r.reports != 0 {
		t.Error("a goroutine that has ended was reported")
	}
}
