// Command qr-renderer draws the pictures of QR codes.
package main

import (
	"context"

	"pairgate.dev/pkg/service"

	renderer "pairgate.dev/services/qr-renderer"
)

func main() {
	service.Main(renderer.Name, "Draws the pictures of QR codes: of every code that a worker publishes, and of any text on request.",
		func(ctx context.Context, cfg renderer.Config, deps service.Deps) error {
			return renderer.Run(ctx, cfg, renderer.Deps{
				Bus: deps.Bus, Log: deps.Log, Metrics: deps.Metrics, Health: deps.Health,
			})
		})
}
