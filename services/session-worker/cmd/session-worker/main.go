// Command session-worker holds messenger sessions. It is configured by the
// environment; -h prints every variable.
package main

import (
	"context"
	"fmt"

	"pairgate.dev/pkg/service"
	worker "pairgate.dev/services/session-worker"
)

func main() {
	service.Main("session-worker", "Holds the messenger sessions of instances and tells what they are.",
		func(ctx context.Context, cfg worker.Config, deps service.Deps) error {
			dir, err := service.OpenDataDir(deps.Common.DataDir)
			if err != nil {
				return err
			}
			defer dir.Close()
			own := cfg.WorkerID == ""
			if own {
				if cfg.WorkerID, err = dir.WorkerID(); err != nil {
					return fmt.Errorf("worker id: %w", err)
				}
			}
			return worker.Run(ctx, cfg, worker.Deps{Bus: deps.Bus, Log: deps.Log, Metrics: deps.Metrics,
				Health: deps.Health, DataDir: dir.Path(), ReclaimOwn: own})
		})
}
