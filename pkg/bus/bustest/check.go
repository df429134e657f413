package bustest

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// CheckFor calls f every few milliseconds until it returns nil, and fails the
// test with f's last error when total has passed.
func CheckFor(tb testing.TB, total time.Duration, f func() error) {
	tb.Helper()
	deadline := time.Now().Add(total)
	step := 2 * time.Millisecond
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("not so within %v: %v", total, err)
		}
		time.Sleep(step)
		step = min(2*step, 100*time.Millisecond)
	}
}

// CheckGoroutines fails the test when goroutines that it started are still
// running 10 s after its end. Call it first, so that it looks last; not in
// parallel tests, which would be blamed for each other.
func CheckGoroutines(tb testing.TB) {
	tb.Helper()
	before := goroutines()
	tb.Cleanup(func() {
		deadline := time.Now().Add(10 * time.Second)
		for {
			leaked := newGoroutines(before)
			if len(leaked) == 0 {
				return
			}
			if tb.Failed() || time.Now().After(deadline) {
				tb.Errorf("%d goroutines were left running:\n\n%s", len(leaked), strings.Join(leaked, "\n\n"))
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

// goroutines returns the stack of each running goroutine by its header, such as "goroutine 7".
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	all := map[string]string{}
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		if header, _, ok := strings.Cut(stack, " ["); ok {
			all[header] = stack
		}
	}
	return all
}

func newGoroutines(before map[string]string) []string {
	var leaked []string
	for header, stack := range goroutines() {
		if _, known := before[header]; known || ours(stack) {
			continue
		}
		leaked = append(leaked, stack)
	}
	return leaked
}

// ours says whether the goroutine belongs to the test runner or the runtime.
func ours(stack string) bool {
	for _, s := range []string{"testing.tRunner", "testing.(*T).Run", "testing.runTests", "os/signal.signal_recv",
		"os/signal.loop", "runtime.ensureSigM", "testing.(*F).", "bustest.goroutines"} {
		if strings.Contains(stack, s) {
			return true
		}
	}
	return false
}
