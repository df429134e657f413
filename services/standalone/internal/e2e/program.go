// Package e2e starts Pairgate as its users do, as processes, and drives it as
// they do, over HTTP and NATS. It is for tests only.
package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Binaries builds programs, each once for a test binary. Its methods may be
// called from several goroutines.
type Binaries struct {
	mu    sync.Mutex
	dir   string
	built map[string]error
}

// programs are the packages of the programs, by name.
var programs = map[string]string{
	"pairgate":           "pairgate.dev/services/standalone/cmd/pairgate",
	"gateway":            "pairgate.dev/services/gateway/cmd/gateway",
	"instance-registry":  "pairgate.dev/services/instance-registry/cmd/instance-registry",
	"session-worker":     "pairgate.dev/services/session-worker/cmd/session-worker",
	"qr-renderer":        "pairgate.dev/services/qr-renderer/cmd/qr-renderer",
	"webhook-dispatcher": "pairgate.dev/services/webhook-dispatcher/cmd/webhook-dispatcher",
	"lab":                "pairgate.dev/services/lab/cmd/lab",
}

// Build builds a program on first use and returns its path.
func (b *Binaries) Build(tb testing.TB, name string) string {
	tb.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "pairgate-e2e-*")
		if err != nil {
			tb.Fatal(err)
		}
		b.dir, b.built = dir, map[string]error{}
	}
	err, done := b.built[name]
	if !done {
		if output, failed := exec.Command("go", "build", "-o", b.dir+string(filepath.Separator), programs[name]).CombinedOutput(); failed != nil {
			err = fmt.Errorf("go build %s: %w\n%s", name, failed, output)
		}
		b.built[name] = err
	}
	if err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(b.dir, name)
}

// Remove deletes what was built.
func (b *Binaries) Remove() {
	if b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
}

// Process is a running program.
type Process struct {
	tb   testing.TB
	name string
	cmd  *exec.Cmd
	done chan struct{}

	mu    sync.Mutex
	lines []string
	// grown is closed and replaced with each line.
	grown chan struct{}
	state *os.ProcessState
}

// Start starts a program with this environment and nothing else of ours. It is
// killed at the end of the test, if it still runs.
func Start(tb testing.TB, path string, args []string, env map[string]string) *Process {
	tb.Helper()
	p := &Process{tb: tb, name: filepath.Base(path), cmd: exec.Command(path, args...), done: make(chan struct{}), grown: make(chan struct{})}
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "PAIRGATE_LOG_FORMAT=json"}
	for name, value := range env {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	// A test binary that is killed takes its programs along.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	reader, writer, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = writer, writer
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	_ = writer.Close()
	read := make(chan struct{})
	go func() { defer close(read); p.read(reader) }()
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // The state says how it ended.
		<-read
		p.mu.Lock()
		p.state = p.cmd.ProcessState
		p.mu.Unlock()
	}()
	tb.Cleanup(func() {
		p.Kill()
		if tb.Failed() {
			tb.Logf("the end of the log of %s:\n%s", p.name, strings.Join(p.tail(60), "\n"))
		}
	})
	return p
}

func (p *Process) read(r io.ReadCloser) {
	defer r.Close()
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, scanner.Text())
		close(p.grown)
		p.grown = make(chan struct{})
		p.mu.Unlock()
	}
}

func (p *Process) tail(n int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines[max(0, len(p.lines)-n):]...)
}

// Log returns everything the program has written so far.
func (p *Process) Log() string { return strings.Join(p.tail(1<<30), "\n") }

// Await returns the first line that match accepts, or fails the test when the
// program ends first or a minute has passed.
func (p *Process) Await(what string, match func(line string) bool) string {
	p.tb.Helper()
	return p.AwaitWithin(time.Minute, what, match)
}

// AwaitWithin is Await with another limit.
func (p *Process) AwaitWithin(limit time.Duration, what string, match func(line string) bool) string {
	p.tb.Helper()
	deadline := time.After(limit)
	for next := 0; ; {
		p.mu.Lock()
		lines, grown := p.lines, p.grown
		p.mu.Unlock()
		for ; next < len(lines); next++ {
			if match(lines[next]) {
				return lines[next]
			}
		}
		select {
		case <-grown:
		case <-p.done:
			p.tb.Fatalf("%s ended before %s:\n%s", p.name, what, strings.Join(p.tail(20), "\n"))
		case <-deadline:
			p.tb.Fatalf("%s: no %s within %v", p.name, what, limit)
		}
	}
}

// AwaitLine is Await for a JSON log line with the message; it returns the line's fields.
func (p *Process) AwaitLine(message string) map[string]any {
	p.tb.Helper()
	fields := map[string]any{}
	p.Await("the line "+message, func(line string) bool {
		clear(fields)
		return json.NewDecoder(bytes.NewBufferString(line)).Decode(&fields) == nil && fields["msg"] == message
	})
	return fields
}

// Kill kills the program at once, as a power cut would, and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL) // It may have ended.
	<-p.done
}

// Freeze stops the program without ending it; Thaw lets it go on.
func (p *Process) Freeze() { p.signal(syscall.SIGSTOP) }

// Thaw lets a frozen program go on.
func (p *Process) Thaw() { p.signal(syscall.SIGCONT) }

func (p *Process) signal(s os.Signal) {
	p.tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.tb.Fatalf("%s: %v", p.name, err)
	}
}

// Stop asks the program to end and returns its exit code; it fails the test when
// that takes longer than the ten seconds that are promised, and some for a busy machine.
func (p *Process) Stop() int {
	p.tb.Helper()
	p.signal(syscall.SIGTERM)
	return p.Wait(30 * time.Second)
}

// Wait waits for the end and returns the exit code.
func (p *Process) Wait(limit time.Duration) int {
	p.tb.Helper()
	select {
	case <-p.done:
	case <-time.After(limit):
		p.tb.Fatalf("%s did not end within %v", p.name, limit)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.ExitCode()
}

// PID returns the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }
