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
	"encoding/base64"
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
	"pairgate.dev/services/lab/internal/whatsapp"
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
	whatsapp  *whatsapp.Server
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
	listeners, err := listen(ctx, cfg)
	if err != nil {
		return nil, err
	}
	book, err := accounts.Open(cfg.DataDir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lab: cannot use the data directory: %w", err), listeners.close())
	}
	var authority string
	if cfg.WhatsAppTLS {
		secure, certificate, err := whatsapp.Secure(listeners.whatsapp)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lab: cannot emulate WhatsApp: %w", err), listeners.close(), book.Close())
		}
		listeners.whatsapp, authority = secure, string(certificate)
	}
	var wrong faults.Switch
	chats, err := whatsapp.Start(listeners.whatsapp, book, &wrong, log)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lab: cannot emulate WhatsApp: %w", err), listeners.close(), book.Close())
	}
	messenger := simulated.Start(listeners.simulated, book, &wrong, log)
	api := control.New(book, &wrong, map[string]control.Messenger{string(instance.Simulated): messenger, string(instance.WhatsApp): chats}, log)
	root := whatsapp.NoiseRoot()
	people := listeners.control
	l := &Lab{
		addrs: Addrs{Simulated: messenger.Addr(), WhatsApp: chats.Addr(), WhatsAppNoiseRoot: base64.StdEncoding.EncodeToString(root[:]),
			WhatsAppAuthority: authority, Control: people.Addr().String()},
		book:      book,
		simulated: messenger,
		whatsapp:  chats,
		control: &http.Server{Handler: api.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
			IdleTimeout: time.Minute, ErrorLog: zap.NewStdLog(log)},
		served: make(chan error, 1),
	}
	go func() { l.served <- l.control.Serve(people) }()
	log.Info("the lab is up", zap.String("control", l.addrs.Control), zap.String("simulated", l.addrs.Simulated),
		zap.String("whatsapp", l.addrs.WhatsApp))
	return l, nil
}

// listeners are where a lab listens.
type listeners struct{ simulated, whatsapp, control net.Listener }

func listen(ctx context.Context, cfg Config) (l listeners, err error) {
	for _, at := range []struct {
		who, addr string
		listener  *net.Listener
	}{
		{"the simulated messenger", cfg.SimulatedAddr, &l.simulated},
		{"WhatsApp", cfg.WhatsAppAddr, &l.whatsapp},
		{"the control API", cfg.ControlAddr, &l.control},
	} {
		var config net.ListenConfig
		if *at.listener, err = config.Listen(ctx, "tcp", at.addr); err != nil {
			return listeners{}, errors.Join(fmt.Errorf("lab: %s cannot listen: %w", at.who, err), l.close())
		}
	}
	return l, nil
}

// close closes those that are open and still are.
func (l listeners) close() (err error) {
	for _, listener := range []net.Listener{l.simulated, l.whatsapp, l.control} {
		if listener == nil {
			continue
		}
		if e := listener.Close(); !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// Addrs returns the addresses of the lab.
func (l *Lab) Addrs() Addrs { return l.addrs }

// Close ends the lab: connections are closed, requests under way get a few
// seconds, and the data directory is given up. Closing twice is allowed.
func (l *Lab) Close() error {
	l.closeOnce.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		err := errors.Join(l.simulated.Close(), l.whatsapp.Close())
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
