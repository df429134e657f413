package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
)

// The drain of a process, step after step; together they stay below the ten
// seconds after which a process is expected to have ended.
const (
	// DrainTimeout is how long a service may take to return after its context
	// ended. [Main] waits no longer, and then ends the process with status 1.
	DrainTimeout = 8 * time.Second
	busGrace     = time.Second
	opsGrace     = 500 * time.Millisecond
)

// Exit codes of every program.
const (
	ExitOK     = 0 // ended because it was asked to, and drained
	ExitFailed = 1 // failed; the reason is on standard error, in one line
	ExitUsage  = 2 // wrong arguments or configuration
)

// Deps is what [Main] gives a service.
type Deps struct {
	// Common is the shared configuration.
	Common Common
	// Bus is the service's own connection, with every stream and bucket there.
	// [Main] drains it after the service has returned.
	Bus *bus.Conn
	Log *zap.Logger
	// Metrics puts the label service on what is registered.
	Metrics prometheus.Registerer
	// Gatherer gives the metrics of the whole process, for a service that serves
	// /metrics on an address of its own.
	Gatherer prometheus.Gatherer
	// Health is the whole process's, for a service that serves /readyz too. It has
	// nats and streams; the process is not ready until the service has named a
	// condition of its own.
	Health *Health
}

// Main is the main function of a program that is one service: it reads Common
// and C from the environment, answers -h and --version, serves operations,
// connects to NATS (waiting for it as long as it takes), ensures the streams,
// and calls run, which serves until its context ends at SIGTERM or SIGINT and
// then has [DrainTimeout] to return nil. A second signal ends the process at
// once. Main does not return. purpose is a sentence for -h.
func Main[C any](name, purpose string, run func(ctx context.Context, config C, deps Deps) error) {
	p := program{name: name, purpose: purpose, environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr}
	var config C
	code, done := p.arguments(os.Args[1:], config)
	if !done {
		code = p.configureAndServe(&config, func(ctx context.Context, deps Deps) error { return run(ctx, config, deps) })
	}
	os.Exit(code)
}

type program struct {
	name, purpose  string
	environ        []string
	stdout, stderr io.Writer
}

func (p *program) fail(code int, format string, args ...any) int {
	line := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")
	// Nobody is left to tell that standard error is gone.
	_, _ = fmt.Fprintf(p.stderr, "%s: %s\n", p.name, line)
	return code
}

// arguments answers the flags. done says that the program has nothing left to do.
func (p *program) arguments(args []string, config any) (code int, done bool) {
	if len(args) == 0 {
		return ExitOK, false
	}
	var err error
	switch {
	case len(args) > 1:
		return p.fail(ExitUsage, "takes no arguments; -h prints its configuration"), true
	case args[0] == "-h" || args[0] == "-help" || args[0] == "--help" || args[0] == "help":
		err = Help(p.stdout, fmt.Sprintf("usage: %s [-h | --version]\n\n%s", p.name, p.purpose),
			Section{"Of every service:", Common{}}, Section{"Of " + p.name + ":", config})
	case args[0] == "-version" || args[0] == "--version" || args[0] == "version":
		_, err = fmt.Fprintln(p.stdout, p.name, BuildInfo())
	default:
		return p.fail(ExitUsage, "takes no arguments; -h prints its configuration"), true
	}
	if err != nil {
		return p.fail(ExitFailed, "%v", err), true
	}
	return ExitOK, true
}

func (p *program) configureAndServe(config any, run func(context.Context, Deps) error) int {
	var common Common
	if err := Parse(p.environ, &common, config); err != nil {
		if bad, ok := errors.AsType[*ConfigError](err); ok {
			for _, v := range bad.Variables {
				p.fail(ExitUsage, "%s: %s", v.Name, v.Message)
			}
			return ExitUsage
		}
		return p.fail(ExitUsage, "%v", err)
	}
	log, level := NewLogger(LogOptions{Name: p.name, Level: common.LogLevel, Format: common.LogFormat, Output: p.stderr})
	// Files and terminals have nothing to sync; there is nobody to tell otherwise.
	defer func() { _ = log.Sync() }()
	stopTracing, err := StartTracing(context.Background(), p.name, log)
	if err != nil {
		return p.fail(ExitUsage, "%v", err)
	}
	defer stopTracing()
	metrics := NewMetrics()
	deps := Deps{
		Common: common, Log: log, Health: NewHealth(),
		Metrics: ForService(metrics, p.name), Gatherer: metrics,
	}
	metrics.MustRegister(ReadinessMetrics(deps.Health))

	// The process outlives the signal: health and metrics are served until the
	// service has drained.
	process, end := context.WithCancel(context.Background())
	defer end()
	parts := []Named{{p.name, func(ctx context.Context) error {
		signalled, stop := UntilSignal(ctx, func() { os.Exit(ExitFailed) })
		defer stop()
		err := deps.serve(signalled, p.name, run)
		if err == nil && signalled.Err() != nil {
			end()
		}
		return err
	}}}
	if common.MetricsAddr != "" {
		ops, err := NewOps(common.MetricsAddr, OpsHandler(deps.Health, metrics, level))
		if err != nil {
			return p.fail(ExitFailed, "%v", err)
		}
		log.Info("serving operations", zap.String("addr", ops.Addr()))
		parts = append(parts, Named{"operations", ops.Serve})
	}
	if err := RunGroup(process, log, parts...); err != nil {
		return p.fail(ExitFailed, "%s", strings.TrimPrefix(err.Error(), p.name+": "))
	}
	return ExitOK
}

// serve connects, runs the service, and leaves NATS when it has drained.
func (d *Deps) serve(ctx context.Context, name string, run func(context.Context, Deps) error) (err error) {
	d.Log.Info("starting", zap.Stringer("version", BuildInfo()))
	d.Health.Set(NATS, errors.New("no connection yet"))
	unregister := context.AfterFunc(ctx, d.Health.Drain)
	defer unregister()

	o := d.Common.BusOptions(name)
	o.Log, o.Metrics = d.Log, d.Metrics
	d.Bus, err = bus.Connect(ctx, o)
	if err != nil {
		return unlessEnded(ctx, err)
	}
	defer func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), busGrace)
		defer cancel()
		if drainErr := d.Bus.Drain(grace); err == nil && drainErr != nil {
			// The service has drained; what is lost is at most a reply.
			d.Log.Warn("left NATS in a hurry", zap.Error(drainErr))
		}
	}()
	WatchConnection(d.Health, d.Bus)
	if err := EnsureStreams(ctx, d.Bus, d.Common.EnsureOptions(), d.Log, d.Health); err != nil {
		return unlessEnded(ctx, err)
	}
	d.Health.starting()
	if err := Bounded(ctx, DrainTimeout, func() error {
		return Recover(d.Log, name, func() error { return run(ctx, *d) })
	}); err != nil {
		return err
	}
	if ctx.Err() != nil {
		d.Log.Info("drained")
	}
	return nil
}

// unlessEnded forgives what failed because the process was told to end.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// WatchConnection registers the condition [NATS]: the connection is up.
func WatchConnection(h *Health, conn *bus.Conn) {
	h.Set(NATS, nil)
	h.Register(NATS, func(context.Context) error {
		if !conn.Connected() {
			return errors.New("not connected")
		}
		return nil
	})
}

// EnsureStreams is [bus.Ensure] with its outcome in the log and in the condition
// [Streams]. A difference that was not applied is a warning, not an error: the
// server's setting stands until an operator decides.
func EnsureStreams(ctx context.Context, conn *bus.Conn, o bus.EnsureOptions, log *zap.Logger, h *Health) error {
	h.Set(Streams, errors.New("not there yet"))
	report, err := bus.Ensure(ctx, conn, o)
	if len(report.Created) > 0 {
		log.Info("created streams", zap.Strings("streams", report.Created))
	}
	for _, d := range report.Differences {
		write := log.Warn
		if d.Applied {
			write = log.Info
		}
		write("stream differs from its declaration", zap.Stringer("difference", d))
	}
	if err != nil {
		return fmt.Errorf("streams: %w", err)
	}
	h.Set(Streams, nil)
	return nil
}

// ErrDrainTimeout is a service that did not return in time after it was told to.
var ErrDrainTimeout = errors.New("did not drain in time")

// Bounded returns what run returns, or [ErrDrainTimeout] when run goes on for
// longer than limit after ctx ended. Then run's goroutine is left behind, so it
// is for programs that end next.
func Bounded(ctx context.Context, limit time.Duration, run func() error) error {
	done := make(chan error, 1)
	go func() { done <- run() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("%w (%s)", ErrDrainTimeout, limit)
	}
}
