//go:build bench

package bench

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"pairgate.dev/services/standalone/internal/e2e"
)

// TestIdleInstances measures what instances at rest cost in memory, and how long
// the program takes to start with them after a kill.
func TestIdleInstances(t *testing.T) {
	dataDir := filepath.Join(t.TempDir(), "data")
	binaries.Build(t, "pairgate") // before the clock starts
	started := time.Now()
	e2e.One(t, &binaries).Processes["pairgate"].Kill()
	emptyStart := time.Since(started)
	// Creation is not what is measured, so it need not wait for the disk each time.
	d := e2e.OneIn(t, &binaries, dataDir, map[string]string{"PAIRGATE_NATS_SYNC": syncSecond})
	empty := e2e.SettledRSS(t, d.Processes["pairgate"], time.Minute)
	createMany(t, d, *instances)
	created := e2e.SettledRSS(t, d.Processes["pairgate"], 2*time.Minute)
	perInstance := func(with int64) string { return fmt.Sprintf("%.1f KB", float64(with-empty)/float64(*instances)/1000) }
	figure(t, fmt.Sprintf("memory of each of %d idle instances, after their creation", *instances), perInstance(created), "≤ 8 KB", syncSecond)

	d.Processes["pairgate"].Kill()
	started = time.Now()
	d = e2e.OneIn(t, &binaries, dataDir, nil)
	durations(t, fmt.Sprintf("start after a kill with %d instances until /readyz says yes; floor: first start, without any", *instances), time.Since(started), emptyStart, "≤ 10 s for 100,000", syncAlways)
	again := e2e.SettledRSS(t, d.Processes["pairgate"], 2*time.Minute)
	figure(t, fmt.Sprintf("memory of each of %d idle instances, after that start", *instances), perInstance(again), "≤ 8 KB", syncAlways)
}
