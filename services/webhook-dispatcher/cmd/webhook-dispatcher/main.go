// Command webhook-dispatcher delivers webhooks. It is configured by the
// environment; -h prints every variable.
package main

import (
	"context"

	"pairgate.dev/pkg/service"
	dispatcher "pairgate.dev/services/webhook-dispatcher"
)

func main() {
	service.Main(dispatcher.Name, "Delivers events to webhooks, signed, in order, until they are taken.",
		func(ctx context.Context, cfg dispatcher.Config, deps service.Deps) error {
			return dispatcher.Run(ctx, cfg, dispatcher.Deps{Bus: deps.Bus, Log: deps.Log, Metrics: deps.Metrics, Health: deps.Health})
		})
}
