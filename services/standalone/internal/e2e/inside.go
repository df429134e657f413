package e2e

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/labclient"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/standalone"
)

// Inside runs the one-process program, with the lab, inside the process of the test.
// It offers the providers, whose instances the drivers run. env is more environment.
func Inside(tb testing.TB, env map[string]string, providers []instance.Provider, drivers func(simulated string) ([]driver.Driver, error)) *Deployment {
	tb.Helper()
	dataDir := filepath.Join(tb.TempDir(), "data")
	environ := []string{"PAIRGATE_DATA_DIR=" + dataDir, "PAIRGATE_HTTP_ADDR=127.0.0.1:0", "PAIRGATE_NATS_ADDR=127.0.0.1:0",
		"PAIRGATE_LAB_CONTROL_ADDR=127.0.0.1:0", "PAIRGATE_RATE_LIMIT=0"}
	for name, value := range env {
		environ = append(environ, name+"="+value)
	}
	cfg, err := standalone.Parse(environ)
	if err != nil {
		tb.Fatal(err)
	}
	cfg.Registry.Providers = providers
	ready, ended := make(chan standalone.Running, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		ended <- standalone.Run(ctx, cfg, standalone.Options{Log: zap.NewNop(), Lab: true, Drivers: drivers,
			Ready: func(r standalone.Running) { ready <- r }})
	}()
	tb.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				tb.Errorf("the program ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			tb.Error("the program did not drain")
		}
	})
	var running standalone.Running
	select {
	case running = <-ready:
	case err := <-ended:
		ended <- nil
		tb.Fatalf("the program did not start: %v", err)
	}
	d := &Deployment{tb: tb, DataDir: dataDir, Processes: map[string]*Process{}}
	d.API = NewAPI(tb, "http://"+running.HTTP, running.AdminKey.Reveal())
	d.Lab = labclient.New(running.LabControl)
	tb.Cleanup(d.Lab.Close)
	d.API.AwaitReady()
	d.NATS = connect(tb, running.NATS, readFile(tb, filepath.Join(dataDir, "nats-user")), readFile(tb, filepath.Join(dataDir, "nats-password")))
	return d
}
