package bus

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
)

// ServiceConfig describes a service to those who look for it with $SRV.PING, INFO and STATS.
type ServiceConfig struct {
	// Name is letters, digits, dashes and underscores, such as "instance-registry".
	Name string
	// Version is a semantic version such as "1.2.3"; "0.0.0" when empty.
	Version string
	// Description is one line.
	Description string
	// Metadata is shown by $SRV.INFO.
	Metadata map[string]string
	// Log gets panics and hidden errors; nil for none.
	Log *zap.Logger
	// Metrics gets counts and durations of requests; nil for none.
	Metrics prometheus.Registerer
}

// Limits of an endpoint unless an option says otherwise.
const (
	// DefaultConcurrency is how many requests of one endpoint are handled at a time.
	DefaultConcurrency = 64
	// DefaultQueue is how many more may wait; those beyond are refused with
	// CodeUnavailable. A thousand customers who press "connect" in one moment are a
	// burst to be served, and a registry on a synced disk does some 500 a second,
	// so what waits here is answered well inside DefaultHandlerTimeout.
	DefaultQueue = 2048
	// DefaultHandlerTimeout is the deadline of a handler, counted from the request's
	// arrival, when the caller does not wait for a shorter time.
	DefaultHandlerTimeout = 10 * time.Second
)

// HandleOption changes one endpoint.
type HandleOption func(*handleConfig) error

type handleConfig struct {
	concurrency, queue int
	timeout            time.Duration
	description        string
	validate           func(any) instance.FieldErrors
	decode             []DecodeOption
	validates          string // the request type that validate takes
}

// WithConcurrency sets how many requests are handled at a time and how many more
// may wait. running is at least 1, waiting at least 0.
func WithConcurrency(running, waiting int) HandleOption {
	return func(c *handleConfig) error {
		if running < 1 || waiting < 0 {
			return fmt.Errorf("bus: concurrency of %d running and %d waiting", running, waiting)
		}
		c.concurrency, c.queue = running, waiting
		return nil
	}
}

// WithTimeout sets the deadline of a handler; it must be positive.
func WithTimeout(d time.Duration) HandleOption {
	return func(c *handleConfig) error {
		if d <= 0 {
			return fmt.Errorf("bus: handler timeout of %v", d)
		}
		c.timeout = d
		return nil
	}
}

// WithDescription is shown by $SRV.INFO.
func WithDescription(text string) HandleOption {
	return func(c *handleConfig) error {
		c.description = text
		return nil
	}
}

// WithValidate has the request validated before the handler is called. What it
// finds is told together with what decoding found, so that every bad field is
// named at once; see DecodeAndValidate. Req is the request type of the endpoint.
func WithValidate[Req any](validate func(*Req) instance.FieldErrors) HandleOption {
	return func(c *handleConfig) error {
		c.validate = func(m any) instance.FieldErrors {
			req, ok := m.(*Req)
			if !ok {
				return nil
			}
			return validate(req)
		}
		c.validates = fmt.Sprintf("%T", new(Req))
		return nil
	}
}

// WithDecode passes options to the strict decoding of JSON requests.
func WithDecode(opts ...DecodeOption) HandleOption {
	return func(c *handleConfig) error {
		c.decode = append(c.decode, opts...)
		return nil
	}
}

func newHandleConfig(opts []HandleOption) (handleConfig, error) {
	cfg := handleConfig{concurrency: DefaultConcurrency, queue: DefaultQueue, timeout: DefaultHandlerTimeout}
	for _, opt := range opts {
		if err := opt(&cfg); err != nil {
			return cfg, err
		}
	}
	return cfg, nil
}
