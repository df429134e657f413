package standalone_test

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"testing"

	"go.uber.org/zap"

	"pairgate.dev/services/lab/labclient"
	"pairgate.dev/services/standalone"
	"pairgate.dev/services/standalone/internal/e2e"
)

// observed is a one-process deployment inside of the test's own process, with an
// account linked, its webhook delivered, and the picture of a text asked for.
type observed struct {
	api      *e2e.API
	receiver *e2e.Receiver
	phone    string
}

// observe runs everything in this process and links an account with the header
// traceparent on each request of it.
func observe(t *testing.T, traceparent string) *observed {
	t.Helper()
	cfg, err := standalone.Parse([]string{"PAIRGATE_DATA_DIR=" + filepath.Join(t.TempDir(), "data"), "PAIRGATE_HTTP_ADDR=127.0.0.1:0",
		"PAIRGATE_NATS_ADDR=off", "PAIRGATE_LAB_CONTROL_ADDR=127.0.0.1:0", "PAIRGATE_RATE_LIMIT=0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ready := make(chan standalone.Running, 1)
	done := make(chan error, 1)
	go func() {
		done <- standalone.Run(ctx, cfg, standalone.Options{Log: zap.NewNop(), Level: zap.NewAtomicLevel(), Lab: true,
			Ready: func(r standalone.Running) { ready <- r }})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the deployment ended with %v", err)
		}
	})
	var running standalone.Running
	select {
	case running = <-ready:
	case err := <-done:
		done <- err
		t.Fatalf("the deployment did not start: %v", err)
	}
	o := &observed{api: e2e.NewAPI(t, "http://"+running.HTTP, running.AdminKey.Reveal()), receiver: e2e.NewReceiver(t), phone: "15550100081"}
	o.api.AwaitReady()
	d := &e2e.Deployment{API: o.api, Lab: labclient.New(running.LabControl)}
	t.Cleanup(d.Lab.Close)
	addPhone(t, d, o.phone)
	o.api.Want(http.StatusCreated, http.MethodPost, "/v1/instances",
		map[string]any{"name": "shop", "provider": "simulated", "webhooks": []any{map[string]any{"url": o.receiver.URL()}}})
	shown := o.api.Want(http.StatusOK, http.MethodPost, "/v1/instances/shop/connect?wait=30", nil, "traceparent", traceparent).Body
	// Later it would not be sent any more.
	o.receiver.Await("the picture", func(w e2e.Webhook) bool { return w.Kind == "qr" })
	if err := d.Lab.ScanCode(t.Context(), o.phone, shown["qr"].(map[string]any)["code"].(string)); err != nil {
		t.Fatal(err)
	}
	o.api.AwaitPhase("shop", "online")
	o.receiver.Await("online", func(w e2e.Webhook) bool { return w.Phase == "online" })
	return o
}

// webhooks returns the webhooks of a kind that arrived.
func (o *observed) webhooks(kind string) []e2e.Webhook {
	return slices.DeleteFunc(o.receiver.All(), func(w e2e.Webhook) bool { return w.Kind != kind })
}
