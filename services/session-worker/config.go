package worker

import (
	"encoding/base64"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/whatsapp/keys"
)

// Config is what an operator sets for a worker.
type Config struct {
	// WorkerID names the worker among those of the deployment.
	WorkerID string `env:"PAIRGATE_WORKER_ID" desc:"name of this worker, unique in the deployment; made and kept in the data directory when empty"`
	// Capacity is how many sessions it is meant to hold, in relation to others.
	Capacity int `env:"PAIRGATE_WORKER_CAPACITY" envDefault:"1" desc:"share of the sessions that this worker takes, in relation to the other workers" want:"a number from 1 to 100"`
	// Providers are the messengers that the worker runs; empty for the default, see [service.Providers].
	Providers []instance.Provider `env:"PAIRGATE_PROVIDERS" desc:"messengers that the workers run, alike in every worker and in the registry; whatsapp, and simulated where PAIRGATE_SIMULATED_ENDPOINT is set, when empty" want:"a list of whatsapp and simulated, separated by commas"`
	// WhatsAppDB is where the keys of WhatsApp devices are kept.
	WhatsAppDB seal.Secret `env:"PAIRGATE_WHATSAPP_DB" secret:"true" desc:"URL of the PostgreSQL database (postgres://user:password@host:5432/database) that the keys of WhatsApp devices are kept in, needed as soon as there are two workers; the file whatsapp.db in the data directory when empty"`
	// WhatsAppEndpoint and WhatsAppNoiseRoot lead WhatsApp's sessions to an emulated one, for tests.
	WhatsAppEndpoint  string `env:"PAIRGATE_WHATSAPP_ENDPOINT" check:"loopback" desc:"host:port of the emulated WhatsApp of the lab, for tests, loopback only and together with PAIRGATE_WHATSAPP_NOISE_ROOT; the real one when empty"`
	WhatsAppNoiseRoot string `env:"PAIRGATE_WHATSAPP_NOISE_ROOT" desc:"public key, 32 bytes in base64, that the certificates of the emulated WhatsApp lead to"`
	// SimulatedEndpoint is where the simulated messenger listens.
	SimulatedEndpoint string `env:"PAIRGATE_SIMULATED_ENDPOINT" desc:"host:port of the simulated messenger of the lab, loopback only; without it provider simulated is refused"`
	// MasterKey seals credentials.
	MasterKey seal.Secret `env:"PAIRGATE_MASTER_KEY" secret:"true" desc:"32 bytes in base64 that seal secrets at rest; more, after commas, are older ones that still open"`
	// WhatsAppClient is what WhatsApp takes us for.
	WhatsAppClient WhatsAppClient
}

// maxCapacity keeps the shares of workers comparable.
const maxCapacity = 100

// Check implements service.Checker.
func (c *Config) Check(bad func(variable, expected string)) {
	if c.Capacity < 1 || c.Capacity > maxCapacity {
		bad("PAIRGATE_WORKER_CAPACITY", "a number from 1 to 100")
	}
	if slices.ContainsFunc(c.Providers, func(p instance.Provider) bool { return p != instance.WhatsApp && p != instance.Simulated }) {
		bad("PAIRGATE_PROVIDERS", "a list of whatsapp and simulated, separated by commas")
	}
	if dsn := c.WhatsAppDB.Reveal(); dsn != "" && !keys.IsPostgreSQL(dsn) {
		bad("PAIRGATE_WHATSAPP_DB", "a URL that begins with postgres://, or absent for a file in the data directory")
	}
	switch root, err := c.noiseRoot(); {
	case c.WhatsAppEndpoint == "" && c.WhatsAppNoiseRoot != "":
		bad("PAIRGATE_WHATSAPP_ENDPOINT", "set together with PAIRGATE_WHATSAPP_NOISE_ROOT, or neither")
	case c.WhatsAppEndpoint != "" && (err != nil || len(root) != noiseRootSize):
		bad("PAIRGATE_WHATSAPP_NOISE_ROOT", "32 bytes in base64, set together with PAIRGATE_WHATSAPP_ENDPOINT")
	}
}

// noiseRootSize is the size of a public key of Curve25519.
const noiseRootSize = 32

func (c *Config) noiseRoot() ([]byte, error) {
	return base64.StdEncoding.DecodeString(c.WhatsAppNoiseRoot)
}

// providers are the messengers that this worker runs.
func (c *Config) providers() []instance.Provider {
	return service.Providers(c.Providers, c.SimulatedEndpoint)
}

// Deps are what a worker is given.
type Deps struct {
	Bus     *bus.Conn
	Log     *zap.Logger
	Metrics prometheus.Registerer
	Health  *service.Health
	// Views are shared with other services of the process; nil for views of its own.
	Views *bus.Views
	// DataDir is the locked data directory of this process.
	DataDir string
	// Drivers are used in place of those that the configuration names, for tests; nil for those.
	Drivers []driver.Driver
	// ReclaimOwn says that no other process can run under this worker's id, because
	// the caller holds the lock of the directory that the id is kept in.
	ReclaimOwn bool
	// Backoff replaces the wait between tries to reach a messenger, for tests; its zero value is the default.
	Backoff instance.Backoff
}
