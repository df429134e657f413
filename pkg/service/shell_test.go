package service_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/service"
)

// programs are what the test binary becomes when testProgram names one: exit
// codes and signals are only real in a process.
var programs = map[string]func(context.Context, inner, service.Deps) error{
	"serves": func(ctx context.Context, _ inner, deps service.Deps) error {
		deps.Health.Set(service.Ownership, nil)
		fmt.Println("serving")
		<-ctx.Done()
		fmt.Println("draining")
		return nil
	},
	"fails": func(context.Context, inner, service.Deps) error { return errors.New("the disk is full") },
	"panics": func(context.Context, inner, service.Deps) error {
		panic("oh no")
	},
	"returns": func(context.Context, inner, service.Deps) error { return nil },
	"hangs": func(ctx context.Context, _ inner, _ service.Deps) error {
		fmt.Println("serving")
		<-ctx.Done()
		fmt.Println("draining")
		select {}
	},
}

const testProgram = "SERVICE_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if run, ok := programs[os.Getenv(testProgram)]; ok {
		service.Main("tester", "Is run by a test.", run)
	}
	os.Exit(m.Run())
}

type process struct {
	*exec.Cmd
	out    *bufio.Reader
	stderr buffer
}

// buffer is read while the process writes to it.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func start(t *testing.T, program string, environ []string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], args...)}
	p.Env = append(environ, testProgram+"="+program)
	p.Stderr = &p.stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	// After a normal end there is nothing to kill.
	t.Cleanup(func() { _ = p.Process.Kill() })
	return p
}

func (p *process) line(t *testing.T) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("no line from the process: %v\n%s", err, &p.stderr)
	}
	return strings.TrimSpace(line)
}

func (p *process) exit(t *testing.T) (code int, stdout string) {
	t.Helper()
	rest, err := io.ReadAll(p.out)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		if _, ok := errors.AsType[*exec.ExitError](err); !ok {
			t.Fatal(err)
		}
	}
	return p.ProcessState.ExitCode(), string(rest)
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func natsEnv(t *testing.T) []string {
	return []string{
		"PAIRGATE_NATS_URL=" + bustest.Server(t, bustest.Listen).URL(),
		"PAIRGATE_NATS_USER=test", "PAIRGATE_NATS_PASSWORD=test-password", "PAIRGATE_LOG_LEVEL=error",
	}
}

func TestHelpAndVersionNeedNothing(t *testing.T) {
	for _, flag := range []string{"-h", "--help"} {
		code, out := start(t, "serves", []string{"PAIRGATE_WRONG=x"}, flag).exit(t)
		if code != 0 || !strings.Contains(out, "PAIRGATE_NATS_URL") || !strings.Contains(out, "PAIRGATE_T_RETRIES  (whole number; default 3)") || !strings.Contains(out, "Is run by a test.") {
			t.Errorf("%s: exit %d\n%s", flag, code, out)
		}
	}
	if code, out := start(t, "serves", nil, "--version").exit(t); code != 0 || !strings.HasPrefix(out, "tester ") {
		t.Errorf("--version: exit %d, %s", code, out)
	}
}

func TestWrongUsageEndsWithTwoAndNamesIt(t *testing.T) {
	for name, tt := range map[string]struct {
		environ, args []string
		want          []string
	}{
		"argument": {nil, []string{"serve"}, []string{"takes no arguments"}},
		"variables": {[]string{"PAIRGATE_T_RETRIES=sesame", "PAIRGATE_REPLICAS=sesame", "PAIRGATE_LOG_LEVLE=sesame"}, nil,
			[]string{"PAIRGATE_T_RETRIES: must be", "PAIRGATE_REPLICAS: must be 1, 3 or 5", "did you mean PAIRGATE_LOG_LEVEL?"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, "serves", tt.environ, tt.args...)
			if code, _ := p.exit(t); code != service.ExitUsage {
				t.Errorf("exit %d", code)
			}
			for _, want := range tt.want {
				if !strings.Contains(p.stderr.String(), want) {
					t.Errorf("no %q in %s", want, &p.stderr)
				}
			}
			if strings.Contains(p.stderr.String(), "sesame") {
				t.Errorf("a value is shown: %s", &p.stderr)
			}
		})
	}
}

func TestFailureEndsWithOneAndOneLine(t *testing.T) {
	env := natsEnv(t)
	for program, want := range map[string]string{
		"fails":   "tester: the disk is full\n",
		"returns": "tester: stopped without being asked to\n",
		"panics":  "tester: panic (string), see the log\n",
	} {
		p := start(t, program, env)
		if code, _ := p.exit(t); code != service.ExitFailed || !strings.HasSuffix(p.stderr.String(), want) {
			t.Errorf("%s: exit %d, %s", program, code, &p.stderr)
		}
	}
}

func TestTakenMetricsAddressIsTold(t *testing.T) {
	busy, err := service.NewOps("127.0.0.1:0", http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	defer func() { _ = busy.Serve(ctx) }()
	p := start(t, "serves", []string{"PAIRGATE_METRICS_ADDR=" + busy.Addr()})
	if code, _ := p.exit(t); code != service.ExitFailed || !strings.Contains(p.stderr.String(), "PAIRGATE_METRICS_ADDR") {
		t.Errorf("exit %d, %s", code, &p.stderr)
	}
}

func TestSignalDrainsAndEndsWithZero(t *testing.T) {
	env := natsEnv(t)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := start(t, "serves", env)
		if got := p.line(t); got != "serving" {
			t.Fatalf("said %q", got)
		}
		p.signal(t, s)
		if code, out := p.exit(t); code != 0 || out != "draining\n" || p.stderr.String() != "" {
			t.Errorf("%v: exit %d, %q, %s", s, code, out, &p.stderr)
		}
	}
}

func TestSignalWhileNATSIsAwayEndsWithZero(t *testing.T) {
	p := start(t, "serves", []string{"PAIRGATE_NATS_URL=nats://127.0.0.1:1", "PAIRGATE_LOG_FORMAT=json"})
	bustest.CheckFor(t, 10*time.Second, func() error { // a signal that comes sooner just kills
		if !strings.Contains(p.stderr.String(), "NATS not reachable") {
			return errors.New("the process does not try to connect yet")
		}
		return nil
	})
	p.signal(t, syscall.SIGTERM)
	if code, out := p.exit(t); code != 0 || out != "" {
		t.Errorf("exit %d, %q, %s", code, out, &p.stderr)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := start(t, "hangs", natsEnv(t))
	p.line(t)
	p.signal(t, syscall.SIGTERM)
	p.line(t)
	p.signal(t, syscall.SIGINT)
	if code, _ := p.exit(t); code != service.ExitFailed {
		t.Errorf("exit %d", code)
	}
}

func TestOperationsAreServedWhileDraining(t *testing.T) {
	free, err := service.NewOps("127.0.0.1:0", http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := free.Serve(ctx); err != nil {
		t.Fatal(err)
	}
	p := start(t, "hangs", append(natsEnv(t), "PAIRGATE_METRICS_ADDR="+free.Addr()))
	p.line(t)
	want := func(text string) {
		t.Helper()
		bustest.CheckFor(t, 5*time.Second, func() error {
			resp, err := http.Get("http://" + free.Addr() + "/readyz")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err == nil && !strings.Contains(string(body), text) {
				err = fmt.Errorf("%s has no %q", body, text)
			}
			return err
		})
	}
	want(`"starting"`) // this service never names a condition
	p.signal(t, syscall.SIGTERM)
	want(`"draining"`)
	http.DefaultClient.CloseIdleConnections()
}

func TestDrainIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		hang := make(chan struct{})
		begun := time.Now()
		err := service.Bounded(ctx, service.DrainTimeout, func() error { <-hang; return nil })
		if !errors.Is(err, service.ErrDrainTimeout) || time.Since(begun) != service.DrainTimeout {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		close(hang)
		if err := service.Bounded(ctx, service.DrainTimeout, func() error { return nil }); err != nil {
			t.Error(err)
		}
	})
}
