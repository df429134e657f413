// Package renderer is the qr-renderer service: it draws the pictures of QR codes.
//
// It does two things. Other services ask it for a picture of any text, on
// pairgate.v1.qr.render. And it draws the picture of every code that a worker
// publishes: it reads the events of kind "code", and publishes for each an event of
// kind "qr" that carries text and picture.
//
// # No picture after the scan
//
// A picture is published on the condition that the code it was drawn from is still
// the last message on that instance's code subject. The server checks it in the
// same step that stores the picture. A worker that sees the scan withdraws the
// code, by an empty one, before it says so in a status; from then on every picture
// that is still being drawn, anywhere, is refused. The same condition keeps the
// pictures of one instance in order, however many members draw at once: the
// picture of a code that was followed by another is refused.
//
// The id of a picture's event is derived from that of its code. Two members that
// draw the same code, or one that publishes again because it heard no answer, store
// one event.
//
// # Sharing the work
//
// All members pull from one durable consumer, so each code is drawn by one of them.
// A code that a member took and did not finish is delivered to another after
// ackWait. When no member runs, codes wait, but not longer than they live: a member
// that starts drops those that have expired or were followed by others, and draws
// the rest.
//
// A picture that cannot be drawn in the look that its instance asks for is drawn in
// the default look: a code that can be scanned is worth more than its colour.
package renderer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/service"
)

// Name is the name of the service on NATS, and of its program.
const Name = "qr-renderer"

// drainTime is how long Run goes on with codes it has taken and requests it has
// accepted after its context ended. What is left then is given back to others.
const drainTime = 5 * time.Second

// Config is the configuration of the renderer.
type Config struct {
	Workers int `env:"PAIRGATE_RENDERER_WORKERS" envDefault:"0" check:"nonnegative" desc:"Pictures drawn at a time; 0 for one for each processor."`
}

func (c Config) workers() int {
	if c.Workers > 0 {
		return c.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// Deps is what Run needs from its process.
type Deps struct {
	// Bus is the connection, with every stream and bucket there. Run does not close it.
	Bus *bus.Conn
	Log *zap.Logger
	// Metrics gets the metrics of the service; nil for none.
	Metrics prometheus.Registerer
	// Health gets the condition service.Followers; nil for none.
	Health *service.Health
	// Views are those of the process; nil to make own ones.
	Views *bus.Views
}

// Run draws pictures until ctx ends; then it takes nothing new, finishes what it
// has begun within five seconds, gives back the rest, and returns nil. It returns
// an error when it cannot serve its subject or register its metrics.
func Run(ctx context.Context, cfg Config, deps Deps) error {
	if deps.Log == nil {
		deps.Log = zap.NewNop()
	}
	if deps.Health == nil {
		deps.Health = service.NewHealth()
	}
	if deps.Views == nil {
		deps.Views = bus.NewViews(deps.Bus, deps.Log)
		defer deps.Views.Close()
	}
	m, err := newMetrics(deps.Metrics)
	if err != nil {
		return err
	}
	deps.Health.Set(service.Followers, errors.New("the records of instances are being read"))

	svc, err := serve(cfg, deps, m)
	if err != nil {
		return err
	}
	// Requests and codes drain side by side, within one time.
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	var guard, requests sync.WaitGroup
	guard.Go(func() { cutAfter(ctx, work, cut) })
	requests.Go(func() {
		<-ctx.Done()
		if err := svc.Stop(work); err != nil {
			deps.Log.Warn("requests were cut off", zap.Error(err))
		}
	})
	// Without the records the first pictures after a start would be drawn in the
	// default look.
	select {
	case <-deps.Views.Instances.Ready():
		newWorker(cfg, deps, m).run(ctx, work)
	case <-ctx.Done():
	}
	requests.Wait()
	cut()
	guard.Wait()
	return nil
}

// cutAfter calls cut drainTime after ctx has ended, unless work is done before.
func cutAfter(ctx, work context.Context, cut func()) {
	select {
	case <-ctx.Done():
	case <-work.Done():
		return
	}
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	select {
	case <-timer.C:
		cut()
	case <-work.Done():
	}
}

func serve(cfg Config, deps Deps, m *metrics) (*bus.Service, error) {
	svc, err := bus.NewService(deps.Bus, bus.ServiceConfig{
		Name: Name, Version: service.BuildInfo().Version, Description: "Draws the pictures of QR codes",
		Log: deps.Log, Metrics: deps.Metrics,
	})
	if err != nil {
		return nil, err
	}
	if err := handleRender(svc, cfg.workers(), m); err != nil {
		return nil, errors.Join(fmt.Errorf("renderer: %w", err), svc.Stop(context.Background()))
	}
	return svc, nil
}
