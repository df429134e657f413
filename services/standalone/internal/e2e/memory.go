package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pairgate.dev/pkg/bus/bustest"
)

// RSS returns the resident memory of the program in bytes, as Linux counts it.
func (p *Process) RSS() int64 {
	p.tb.Helper()
	n, err := residentMemory(p.PID())
	if err != nil {
		p.tb.Fatalf("%s: %v", p.name, err)
	}
	return n
}

func residentMemory(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", pid)
}

// restingFor is how long memory has to stay within a hundredth to count as settled.
const restingFor = 5 * time.Second

// SettledRSS waits until the program's memory neither grows nor shrinks, and
// returns it in bytes; the test fails when that takes longer than the limit.
func SettledRSS(tb testing.TB, p *Process, limit time.Duration) int64 {
	tb.Helper()
	type sample struct {
		at    time.Time
		bytes int64
	}
	var seen []sample
	bustest.CheckFor(tb, limit, func() error {
		now := sample{time.Now(), p.RSS()}
		seen = append(seen, now)
		first, _ := slices.BinarySearchFunc(seen, now.at.Add(-restingFor), func(s sample, t time.Time) int { return s.at.Compare(t) })
		if first == 0 {
			return fmt.Errorf("watched for less than %v", restingFor)
		}
		seen = seen[first-1:]
		least, most := now.bytes, now.bytes
		for _, s := range seen {
			least, most = min(least, s.bytes), max(most, s.bytes)
		}
		if most-least > most/100 {
			return fmt.Errorf("memory went from %d to %d bytes within %v", least, most, restingFor)
		}
		return nil
	})
	return seen[len(seen)-1].bytes
}
