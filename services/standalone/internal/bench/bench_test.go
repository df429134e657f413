//go:build bench

package bench

import (
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pairgate.dev/services/standalone/internal/e2e"
)

var (
	tablePath = flag.String("table", "", "file that the table is written to")
	pictures  = flag.String("pictures", "", "file with the output of the benchmarks of the package picture")
	instances = flag.Int("instances", 10_000, "idle instances whose memory and start-up are measured")
	pairing   = flag.Int("pairing", 1000, "instances that pair at once")
	sessions  = flag.Int("sessions", 1000, "WhatsApp sessions whose memory is measured, and that are cut off at once")
	each      = flag.Duration("each", 3*time.Second, "how long each side of a comparison of rates is measured")
)

var binaries e2e.Binaries

// TestMain prints what was measured, also when a measurement failed.
func TestMain(m *testing.M) {
	if job := os.Getenv(bareVariable); job != "" {
		beBare(job)
	}
	flag.Parse()
	code := m.Run()
	binaries.Remove()
	if *tablePath != "" {
		if err := os.WriteFile(*tablePath, []byte(results.String()), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// clients is how many callers there are at once where rates are compared.
const clients = 16

// rate calls do from all clients for as long as the flag says, and returns the calls per second.
func rate(t *testing.T, do func() error) float64 {
	t.Helper()
	var n atomic.Int64
	var failed atomic.Pointer[error]
	started := time.Now()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for time.Since(started) < *each && failed.Load() == nil {
				if err := do(); err != nil {
					failed.Store(&err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
	return float64(n.Load()) / time.Since(started).Seconds()
}
