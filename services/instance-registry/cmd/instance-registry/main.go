// Command instance-registry is the registry of instances as a program of its own.
package main

import (
	"context"

	"pairgate.dev/pkg/service"
	registry "pairgate.dev/services/instance-registry"
)

func main() {
	service.Main(registry.Name, "The registry of instances: what there is, what is wanted of it, and which webhooks hear of it.",
		func(ctx context.Context, cfg registry.Config, deps service.Deps) error {
			return registry.Run(ctx, cfg, registry.Deps{Bus: deps.Bus, Log: deps.Log, Metrics: deps.Metrics, Health: deps.Health})
		})
}
