// Package standalone runs all five services, and the NATS server between them,
// in one process. Each service has a connection of its own and runs by the same
// Run function as in a process of its own; nothing works only here.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/embedded"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
	gateway "pairgate.dev/services/gateway"
	registry "pairgate.dev/services/instance-registry"
	"pairgate.dev/services/lab"
	renderer "pairgate.dev/services/qr-renderer"
	worker "pairgate.dev/services/session-worker"
	"pairgate.dev/services/session-worker/driver"
	dispatcher "pairgate.dev/services/webhook-dispatcher"
)

// Options are how the program is run, beside its configuration.
type Options struct {
	Log *zap.Logger
	// Level is the log's; /loglevel on the metrics address changes it.
	Level zap.AtomicLevel
	// Lab starts the emulated messengers and points every driver at them.
	Lab bool
	// Drivers makes the drivers in place of those that the configuration names, given
	// the lab's address of the simulated messenger; nil for those. Tests run other
	// providers' instances on the simulated messenger with it.
	Drivers func(simulated string) ([]driver.Driver, error)
	// Ready is called once, when HTTP requests are taken; nil for nobody. The
	// process is ready for instances when /readyz says so, a moment later.
	Ready func(Running)
}

// Running says where the program can be reached.
type Running struct {
	// HTTP is host:port of the API.
	HTTP     string
	AdminKey seal.Secret
	// AdminKeyFile is where the key was kept, when it was not given.
	AdminKeyFile string
	// NATS is the URL for other services; empty when PAIRGATE_NATS_ADDR is off.
	NATS string
	// LabControl is host:port of the lab's control API; empty without the lab.
	LabControl string
}

// Run serves until ctx ends, then drains within ten seconds and returns nil. It
// returns an error when it cannot start (a data directory in use, an address that
// is taken), or when one of the services fails, which it names.
func Run(ctx context.Context, cfg Config, o Options) error {
	dir, err := service.OpenDataDir(cfg.Own.DataDir)
	if err != nil {
		return err
	}
	defer dir.Close()
	kept, err := keepSecrets(dir, &cfg)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	listener, err := net.Listen("tcp", cfg.Gateway.HTTPAddr)
	if err != nil {
		return fmt.Errorf("PAIRGATE_HTTP_ADDR: %w; choose another address, or stop what listens there", err)
	}
	defer listener.Close()

	server, err := startNATS(cfg, dir, kept, o.Log)
	if err != nil {
		return err
	}
	defer server.Shutdown()

	p := &process{cfg: cfg, log: o.Log, server: server, health: service.NewHealth(), metrics: service.NewMetrics(), listener: listener, dir: dir.Path()}
	p.metrics.MustRegister(service.ReadinessMetrics(p.health))
	running := Running{HTTP: listener.Addr().String(), AdminKey: cfg.Gateway.AdminKey, AdminKeyFile: kept.adminKeyFile, NATS: server.URL()}
	if o.Lab {
		emulated, err := p.startLab(ctx, dir)
		if err != nil {
			return err
		}
		defer func() {
			if err := emulated.Close(); err != nil {
				o.Log.Warn("the lab did not close cleanly", zap.Error(err))
			}
		}()
		running.LabControl = emulated.Addrs().Control
	}
	if o.Drivers != nil {
		if p.drivers, err = o.Drivers(p.cfg.Worker.SimulatedEndpoint); err != nil {
			return err
		}
	}
	defer context.AfterFunc(ctx, p.health.Drain)()
	if err := p.connect(ctx); err != nil {
		return err
	}
	defer p.disconnect()
	parts := p.services(running, o.Ready)
	if cfg.Own.MetricsAddr != "" {
		ops, err := service.NewOps(cfg.Own.MetricsAddr, service.OpsHandler(p.health, p.metrics, o.Level))
		if err != nil {
			return fmt.Errorf("PAIRGATE_METRICS_ADDR: %w", err)
		}
		parts = append(parts, service.Named{Name: "operations", Run: ops.Serve})
	}
	return service.RunGroup(ctx, o.Log, parts...)
}

// process is what the services of the one process share.
type process struct {
	cfg      Config
	log      *zap.Logger
	server   *embedded.Server
	health   *service.Health
	metrics  *prometheus.Registry
	listener net.Listener
	dir      string

	conns map[string]*bus.Conn
	views *bus.Views
	// drivers are those of Options.Drivers.
	drivers []driver.Driver
}

// The names of the services, as on NATS.
const (
	nameRegistry   = "instance-registry"
	nameWorker     = "session-worker"
	nameRenderer   = "qr-renderer"
	nameDispatcher = "webhook-dispatcher"
	nameGateway    = "gateway"
	nameViews      = "views"
)

// connect makes the streams, and a connection for each service.
func (p *process) connect(ctx context.Context) error {
	p.conns = map[string]*bus.Conn{}
	for _, name := range []string{nameViews, nameRegistry, nameWorker, nameRenderer, nameDispatcher, nameGateway} {
		o := p.server.ConnOptions(name, p.log.Named(name))
		o.Metrics = service.ForService(p.metrics, name)
		conn, err := bus.ConnectInProcess(ctx, p.server, o)
		if err != nil {
			p.disconnect()
			return fmt.Errorf("%s: %w", name, err)
		}
		p.conns[name] = conn
		service.WatchConnection(p.health, conn)
	}
	options := bus.EnsureOptions{Replicas: 1, LeaseTTL: p.cfg.Own.LeaseTTL, MaxBytes: p.cfg.Own.StreamMaxBytes}
	if err := service.EnsureStreams(ctx, p.conns[nameViews], options, p.log, p.health); err != nil {
		p.disconnect()
		return err
	}
	p.views = bus.NewViews(p.conns[nameViews], p.log.Named(nameViews))
	return nil
}

// disconnectTimeout bounds how long a connection may take to send what it has buffered.
const disconnectTimeout = time.Second

func (p *process) disconnect() {
	if p.views != nil {
		p.views.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), disconnectTimeout)
	defer cancel()
	for name, conn := range p.conns {
		if err := conn.Drain(ctx); err != nil {
			p.log.Warn("left NATS in a hurry", zap.String("service", name), zap.Error(err))
		}
	}
}

// part wraps a service: its own health is part of the process's, and its metrics carry its name.
func (p *process) part(name string, run func(ctx context.Context, conn *bus.Conn, log *zap.Logger, health *service.Health, metrics prometheus.Registerer) error) service.Named {
	health := service.NewHealth()
	p.health.Include(health)
	return service.Named{Name: name, Run: func(ctx context.Context) error {
		return service.Bounded(ctx, service.DrainTimeout, func() error {
			return service.Recover(p.log, name, func() error {
				return run(ctx, p.conns[name], p.log.Named(name), health, service.ForService(p.metrics, name))
			})
		})
	}}
}

func (p *process) services(running Running, ready func(Running)) []service.Named {
	return []service.Named{
		p.part(nameRegistry, func(ctx context.Context, conn *bus.Conn, log *zap.Logger, health *service.Health, metrics prometheus.Registerer) error {
			return registry.Run(ctx, p.cfg.Registry, registry.Deps{Bus: conn, Log: log, Health: health, Metrics: metrics, Views: p.views})
		}),
		p.part(nameWorker, func(ctx context.Context, conn *bus.Conn, log *zap.Logger, health *service.Health, metrics prometheus.Registerer) error {
			// The data directory is ours alone, and the worker's id is kept in it.
			return worker.Run(ctx, p.cfg.Worker, worker.Deps{Bus: conn, Log: log, Health: health, Metrics: metrics, Views: p.views, DataDir: p.dir, Drivers: p.drivers, ReclaimOwn: true})
		}),
		p.part(nameRenderer, func(ctx context.Context, conn *bus.Conn, log *zap.Logger, health *service.Health, metrics prometheus.Registerer) error {
			return renderer.Run(ctx, p.cfg.Renderer, renderer.Deps{Bus: conn, Log: log, Health: health, Metrics: metrics, Views: p.views})
		}),
		p.part(nameDispatcher, func(ctx context.Context, conn *bus.Conn, log *zap.Logger, health *service.Health, metrics prometheus.Registerer) error {
			return dispatcher.Run(ctx, p.cfg.Dispatcher, dispatcher.Deps{Bus: conn, Log: log, Health: health, Metrics: metrics, Views: p.views, ReclaimOwn: true})
		}),
		p.part(nameGateway, func(ctx context.Context, conn *bus.Conn, log *zap.Logger, health *service.Health, metrics prometheus.Registerer) error {
			if ready != nil {
				ready(running)
			}
			return gateway.Run(ctx, p.cfg.Gateway, gateway.Deps{Bus: conn, Log: log, Health: health, ProcessHealth: p.health,
				Metrics: metrics, Gatherer: p.metrics, Views: p.views, Listener: p.listener})
		}),
	}
}

// startNATS starts the embedded server on the data directory.
func startNATS(cfg Config, dir *service.DataDir, kept secrets, log *zap.Logger) (*embedded.Server, error) {
	o := embedded.Options{StoreDir: dir.Path("nats"), Log: log.Named("nats"), User: kept.natsUser, Password: kept.natsPassword}
	if cfg.Own.NATSAddr != off {
		host, port, err := splitAddr(cfg.Own.NATSAddr)
		if err != nil {
			return nil, fmt.Errorf("PAIRGATE_NATS_ADDR: %w", err)
		}
		o.Listen, o.Host, o.Port = true, host, port
	}
	if cfg.Own.NATSSync == syncAlways {
		o.SyncAlways = true
	} else {
		interval, err := time.ParseDuration(cfg.Own.NATSSync)
		if err != nil {
			return nil, fmt.Errorf("PAIRGATE_NATS_SYNC: %w", err)
		}
		o.SyncInterval = interval
	}
	server, err := embedded.Start(o)
	if err != nil {
		return nil, err
	}
	return server, nil
}

// loopbackNetworks are where webhooks may go while the lab is on, because then
// the receivers are on this machine too.
var loopbackNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// startLab starts the emulated messengers and points every driver at them.
func (p *process) startLab(ctx context.Context, dir *service.DataDir) (*lab.Lab, error) {
	emulated, err := lab.Start(ctx, lab.Config{ControlAddr: p.cfg.Own.LabControlAddr, DataDir: dir.Path("lab")}, lab.Deps{Log: p.log.Named("lab")})
	if err != nil {
		return nil, fmt.Errorf("PAIRGATE_LAB_CONTROL_ADDR: %w", err)
	}
	p.cfg.Worker.SimulatedEndpoint = emulated.Addrs().Simulated
	p.cfg.Registry.SimulatedEndpoint = emulated.Addrs().Simulated
	p.cfg.Worker.WhatsAppEndpoint, p.cfg.Worker.WhatsAppNoiseRoot = emulated.Addrs().WhatsApp, emulated.Addrs().WhatsAppNoiseRoot
	p.cfg.Registry.WebhookAllow = append(p.cfg.Registry.WebhookAllow, loopbackNetworks...)
	p.cfg.Dispatcher.WebhookAllow = append(p.cfg.Dispatcher.WebhookAllow, loopbackNetworks...)
	p.health.Register(service.Lab, labAnswers(emulated.Addrs().Control))
	return emulated, nil
}

// labAnswers checks that the lab's control address answers.
func labAnswers(addr string) func(context.Context) error {
	client := &http.Client{Timeout: time.Second}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/healthz", nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return errors.New("the lab's control address does not answer")
		}
		return response.Body.Close()
	}
}
