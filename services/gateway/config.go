package gateway

import (
	"net"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
	"pairgate.dev/services/gateway/internal/web"
)

// Config is what an operator sets for a gateway.
type Config struct {
	HTTPAddr  string      `env:"PAIRGATE_HTTP_ADDR" envDefault:"127.0.0.1:8080" check:"addr" desc:"Address of the HTTP API."`
	AdminKey  seal.Secret `env:"PAIRGATE_ADMIN_KEY" alias:"AUTHENTICATION_API_KEY" desc:"Key that reaches every instance over HTTP, and the global apikey of Evolution API: 16 to 256 printable ASCII characters without spaces."`
	RateLimit int         `env:"PAIRGATE_RATE_LIMIT" envDefault:"100" check:"nonnegative" desc:"Requests per second and token on the native API, bursts of twice that; 0 for no limit. Each gateway process counts for itself."`
	// CORSOrigins are as browsers send them.
	CORSOrigins []string `env:"PAIRGATE_CORS_ORIGINS" desc:"Origins whose pages may use the HTTP API from a browser, such as https://app.example.com, or * for all; none by default."`

	GreenAPI GreenAPIConfig

	Evolution EvolutionConfig
}

// wantedAdminKey says what an admin key looks like.
const wantedAdminKey = "16 to 256 printable ASCII characters without spaces"

// wantedOrigins says what a list of origins looks like.
const wantedOrigins = "origins as browsers send them, such as https://app.example.com, in lower case and without a path, separated by commas; or *"

// Check refuses an admin key that is given and is none, and origins that no browser would send.
func (c *Config) Check(bad func(variable, expected string)) {
	if c.AdminKey != "" && !validKey(c.AdminKey) {
		bad("PAIRGATE_ADMIN_KEY", wantedAdminKey)
	}
	if slices.ContainsFunc(c.CORSOrigins, func(o string) bool { return !web.ValidOrigin(o) }) {
		bad("PAIRGATE_CORS_ORIGINS", wantedOrigins)
	}
}

func validKey(key seal.Secret) bool {
	var f instance.FieldErrors
	instance.CheckToken(&f, "", key.Reveal())
	return len(f) == 0
}

// Deps are what a gateway is given.
type Deps struct {
	// Bus is the connection, with every stream and bucket there. Run does not close it.
	Bus *bus.Conn
	// Log is nil for none.
	Log *zap.Logger
	// Health gets the gateway's own conditions; nil for none.
	Health *service.Health
	// ProcessHealth is what /readyz shows; Health when nil.
	ProcessHealth *service.Health
	// Metrics gets the gateway's metrics; nil for none.
	Metrics prometheus.Registerer
	// Gatherer is what /metrics shows; without it there is no such route.
	Gatherer prometheus.Gatherer
	// Views are shared with other services of the process; nil for views of its own.
	Views *bus.Views
	// Listener is served in place of a new one on HTTPAddr, and closed by Run; nil for a new one.
	Listener net.Listener
}

func (d Deps) withDefaults() Deps {
	if d.Log == nil {
		d.Log = zap.NewNop()
	}
	if d.Health == nil {
		d.Health = service.NewHealth()
	}
	if d.ProcessHealth == nil {
		d.ProcessHealth = d.Health
	}
	return d
}
