// Command gateway is the HTTP API. It is configured by the environment; -h prints
// every variable.
package main

import (
	"context"

	"pairgate.dev/pkg/service"
	gateway "pairgate.dev/services/gateway"
)

// config is the gateway's, in a process where nobody makes the admin key up.
type config struct{ Gateway gateway.Config }

// Check implements service.Checker.
func (c *config) Check(bad func(variable, expected string)) {
	if c.Gateway.AdminKey == "" {
		bad("PAIRGATE_ADMIN_KEY", "set, to 16 to 256 printable ASCII characters without spaces")
	}
}

func main() {
	service.Main(gateway.Name, "Serves the HTTP API.",
		func(ctx context.Context, cfg config, deps service.Deps) error {
			return gateway.Run(ctx, cfg.Gateway, gateway.Deps{Bus: deps.Bus, Log: deps.Log, Health: deps.Health,
				Metrics: deps.Metrics, Gatherer: deps.Gatherer})
		})
}
