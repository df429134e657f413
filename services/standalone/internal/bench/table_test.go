//go:build bench

package bench

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// syncAlways and syncSecond are settings of the NATS server; noSync is for what
// needs no server.
const (
	syncAlways = "always"
	syncSecond = "1s"
	noSync     = "–"
)

// row is a line of the table; absent cells are dashes.
type row struct {
	what, measured, floor, ratio, aim, sync string
}

// table is what has been measured. Rows are printed in the order of measurement.
type table struct {
	mu     sync.Mutex
	rows   []row
	charts []string
}

var results table

func (t *table) add(r row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

func (t *table) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "CPU: %s, %d cores\nMemory: %s\nGo: %s %s/%s\nNATS: embedded, sync as in the last column (always: each write is on the disk before it is acknowledged)\nLoad: %s when the run began\n\n",
		fact("/proc/cpuinfo", "model name"), runtime.NumCPU(), fact("/proc/meminfo", "MemTotal"), runtime.Version(), runtime.GOOS, runtime.GOARCH, load)
	lines := append([]row{{"what", "Pairgate", "floor", "ratio", "aim", "sync"}}, t.rows...)
	for i, r := range lines {
		for _, cell := range []string{r.what, r.measured, r.floor, r.ratio, r.aim, r.sync} {
			if cell == "" {
				cell = "–"
			}
			b.WriteString("| " + cell + " ")
		}
		b.WriteString("|\n")
		if i == 0 {
			b.WriteString("|---|---|---|---|---|---|\n")
		}
	}
	for _, c := range t.charts {
		b.WriteString("\n" + c)
	}
	return b.String()
}

// chart adds a histogram of times, a line for each second.
func (t *table) chart(title string, times []time.Duration) {
	var seconds []int
	for _, d := range times {
		n := max(int(d/time.Second), 0)
		for len(seconds) <= n {
			seconds = append(seconds, 0)
		}
		seconds[n]++
	}
	most := slices.Max(seconds)
	var b strings.Builder
	fmt.Fprintf(&b, "%s:\n\n", title)
	for n, count := range seconds {
		fmt.Fprintf(&b, "    %3d s %4d %s\n", n, count, strings.Repeat("#", (count*60+most-1)/most))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.charts = append(t.charts, b.String())
}

// load is that of the machine before this run added to it.
var load = func() string {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(content))[:3], " ")
}()

// fact reads the first line "name: value" of a file of /proc.
func fact(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if key, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// perSecond adds a row of two rates.
func perSecond(t *testing.T, what string, ours, floor float64, aim, sync string) {
	t.Helper()
	r := row{what: what, measured: fmt.Sprintf("%.0f/s", ours), floor: fmt.Sprintf("%.0f/s", floor), ratio: fmt.Sprintf("%.2f", ours/floor), aim: aim, sync: sync}
	t.Logf("%+v", r)
	results.add(r)
}

// durations adds a row of two times.
func durations(t *testing.T, what string, ours, floor time.Duration, aim, sync string) {
	t.Helper()
	r := row{what: what, measured: short(ours), floor: short(floor), ratio: fmt.Sprintf("%.2f", float64(ours)/float64(floor)), aim: aim, sync: sync}
	t.Logf("%+v", r)
	results.add(r)
}

// figure adds a row that has no floor.
func figure(t *testing.T, what, measured, aim, sync string) {
	t.Helper()
	r := row{what: what, measured: measured, aim: aim, sync: sync}
	t.Logf("%+v", r)
	results.add(r)
}

func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(100 * time.Nanosecond).String()
}

// quantile returns the q-th part of the times, which it sorts; there is at least one.
func quantile(times []time.Duration, q float64) time.Duration {
	slices.Sort(times)
	return times[min(len(times)-1, int(q*float64(len(times))))]
}
