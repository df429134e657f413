// Package lab emulates messengers and the phones of their users, for
// demonstrations, tests and load.
//
// A lab listens on loopback only: for drivers, and for its control API, with which
// people and tests do what a phone's owner or a messenger would do. What it
// answered it has written to disk before, so that kill -9 forgets nothing; the
// faults that POST /faults sets are not kept. Its log shows no code, phone or key.
package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/internal/accounts"
	"pairgate.dev/services/lab/internal/control"
	"pairgate.dev/services/lab/internal/faults"
	"pairgate.dev/services/lab/internal/simulated"
)

// Deps are what a lab needs of its process.
type Deps struct {
	// Log is where it says what goes wrong; nil for nowhere.
	Log *zap.Logger
	// Ready, when not nil, is called by Run once every address answers.
	Ready func(Addrs)
}

// Lab is a running lab.
type Lab struct {
	addrs     Addrs
	book      *accounts.Book
	simulated *simulated.Server
	control   *http.Server
	served    chan error
	closeOnce sync.Once
	closeErr  error
}

// drainTimeout is how long Close waits for requests under way.
const drainTimeout = 3 * time.Second

// Start starts a lab; it answers at every address when Start returns. An error is
// a *instance.Problem that names every bad field of the configuration, or says
// which address or directory cannot be used.
func Start(ctx context.Context, cfg Config, deps Deps) (*Lab, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	log := deps.Log
	if log == nil {
		log = zap.NewNop()
	}
	var listen net.ListenConfig
	drivers, err := listen.Listen(ctx, "tcp", cfg.SimulatedAddr)
	if err != nil {
		return nil, fmt.Errorf("lab: the simulated messenger cannot listen: %w", err)
	}
	people, err := listen.Listen(ctx, "tcp", cfg.ControlAddr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lab: the control API cannot listen: %w", err), drivers.Close())
	}
	book, err := accounts.Open(cfg.DataDir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lab: cannot use the data directory: %w", err), drivers.Close(), people.Close())
	}
	var wrong faults.Switch
	messenger := simulated.Start(drivers, book, &wrong, log)
	api := control.New(book, &wrong, map[string]control.Messenger{string(instance.Simulated): messenger}, log)
	l := &Lab{
		addrs:     Addrs{Simulated: messenger.Addr(), Control: people.Addr().String()},
		book:      book,
		simulated: messenger,
		control: &http.Server{Handler: api.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
			IdleTimeout: time.Minute, ErrorLog: zap.NewStdLog(log)},
		served: make(chan error, 1),
	}
	go func() { l.served <- l.control.Serve(people) }()
	log.Info("the lab is up", zap.String("control", l.addrs.Control), zap.String("simulated", l.addrs.Simulated))
	return l, nil
}

// Addrs returns the addresses of the lab.
func (l *Lab) Addrs() Addrs { return l.addrs }

// Close ends the lab: connections are closed, requests under way get a few
// seconds, and the data directory is given up. Closing twice is allowed.
func (l *Lab) Close() error {
	l.closeOnce.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		err := l.simulated.Close()
		if l.control.Shutdown(ctx) != nil {
			_ = l.control.Close()
		}
		if served := <-l.served; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		l.closeErr = errors.Join(err, l.book.Close())
	})
	return l.closeErr
}

// Run is Start and, once ctx is cancelled, Close. It returns nil after a clean end.
func Run(ctx context.Context, cfg Config, deps Deps) error {
	l, err := Start(ctx, cfg, deps)
	if err != nil {
		return err
	}
	if deps.Ready != nil {
		deps.Ready(l.Addrs())
	}
	select {
	case <-ctx.Done():
	case err := <-l.served:
		// Close wants it too.
		l.served <- err
	}
	return l.Close()
}
