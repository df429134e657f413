package worker

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
	"pairgate.dev/services/session-worker/driver"
)

// Config is what an operator sets for a worker.
type Config struct {
	// WorkerID names the worker among those of the deployment.
	WorkerID string `env:"PAIRGATE_WORKER_ID" desc:"name of this worker, unique in the deployment; made and kept in the data directory when empty"`
	// Capacity is how many sessions it is meant to hold, in relation to others.
	Capacity int `env:"PAIRGATE_WORKER_CAPACITY" envDefault:"1" desc:"share of the sessions that this worker takes, in relation to the other workers" want:"a number from 1 to 100"`
	// SimulatedEndpoint is where the simulated messenger listens.
	SimulatedEndpoint string `env:"PAIRGATE_SIMULATED_ENDPOINT" desc:"host:port of the simulated messenger of the lab, loopback only; without it provider simulated is refused"`
	// MasterKey seals credentials.
	MasterKey seal.Secret `env:"PAIRGATE_MASTER_KEY" secret:"true" desc:"32 bytes in base64 that seal secrets at rest; more, after commas, are older ones that still open"`
}

// maxCapacity keeps the shares of workers comparable.
const maxCapacity = 100

// Check implements service.Checker.
func (c *Config) Check(bad func(variable, expected string)) {
	if c.Capacity < 1 || c.Capacity > maxCapacity {
		bad("PAIRGATE_WORKER_CAPACITY", "a number from 1 to 100")
	}
}

// Deps are what a worker is given.
type Deps struct {
	Bus     *bus.Conn
	Log     *zap.Logger
	Metrics prometheus.Registerer
	Health  *service.Health
	// Views are shared with other services of the process; nil for views of its own.
	Views *bus.Views
	// Drivers are used in place of those that the configuration names, for tests; nil for those.
	Drivers []driver.Driver
	// ReclaimOwn says that no other process can run under this worker's id, because
	// the caller holds the lock of the directory that the id is kept in.
	ReclaimOwn bool
	// Backoff replaces the wait between tries to reach a messenger, for tests; its zero value is the default.
	Backoff instance.Backoff
}
