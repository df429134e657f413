// Package demo shows the whole way of a link: it runs the program with the
// emulated messengers, creates an instance, draws its QR code in the terminal,
// has the emulated phone scan the picture, and prints the webhook that arrives.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/lab/labclient"
	"pairgate.dev/services/standalone"
)

// Options are how the demonstration is run.
type Options struct {
	// Once ends it after the webhook was verified; otherwise it stays up until ctx ends.
	Once bool
	// Out gets what is shown, Err the log of the services.
	Out, Err io.Writer
}

// showTimeout bounds the demonstration from the start of the services to the webhook.
const showTimeout = 60 * time.Second

// phone is the number of the emulated phone; the range is reserved for fiction.
const phone = "15550100001"

// Run runs the demonstration in a temporary directory, which is removed at the
// end, on the default addresses where they are free and on free ones elsewhere.
// It returns an error when a step fails, and nil when ctx ends after the show.
func Run(ctx context.Context, cfg standalone.Config, o Options) error {
	dir, err := os.MkdirTemp("", "pairgate-demo-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cfg.Own.DataDir = filepath.Join(dir, "data")
	for _, addr := range []*string{&cfg.Own.LabControlAddr, &cfg.Own.NATSAddr, &cfg.Gateway.HTTPAddr} {
		if *addr, err = freeAddr(ctx, *addr); err != nil {
			return err
		}
	}
	log, level := service.NewLogger(service.LogOptions{Name: "pairgate", Level: max(cfg.Own.LogLevel, zap.WarnLevel),
		Format: cfg.Own.LogFormat, Output: o.Err})

	serving, stop := context.WithCancel(ctx)
	defer stop()
	ready := make(chan standalone.Running, 1)
	served := make(chan error, 1)
	go func() {
		served <- standalone.Run(serving, cfg, standalone.Options{Log: log, Level: level, Lab: true,
			Ready: func(r standalone.Running) { ready <- r }})
	}()
	var running standalone.Running
	select {
	case running = <-ready:
	case err := <-served:
		return errors.Join(errors.New("the services did not start"), err)
	}
	err = show(serving, running, o)
	if err == nil && !o.Once {
		select {
		case <-ctx.Done():
		case err := <-served:
			return err
		}
	}
	stop()
	return errors.Join(err, <-served)
}

// freeAddr returns addr when it can be listened on, else a free port of the same host.
func freeAddr(ctx context.Context, addr string) (string, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, nil // "off"
	}
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", addr)
	if err != nil {
		l, err = listen.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return "", err
	}
	free := l.Addr().String()
	return free, l.Close()
}

// show goes the way of a link, step by step, and tells of each.
func show(ctx context.Context, running standalone.Running, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	say := func(format string, args ...any) { fmt.Fprintf(o.Out, format+"\n", args...) }
	api := newClient(running.HTTP, running.AdminKey)
	defer api.close()
	if err := api.awaitReady(ctx); err != nil {
		return err
	}
	receiver, err := newReceiver(ctx)
	if err != nil {
		return err
	}
	defer receiver.close()
	world := labclient.New(running.LabControl)
	defer world.Close()

	say("1. A phone with a WhatsApp account comes into being in the lab.")
	if _, err := world.AddAccount(ctx, labapi.NewAccount{Provider: "whatsapp", Phone: phone, Name: "Ann Demo"}); err != nil {
		return fmt.Errorf("the lab did not make an account: %w", err)
	}
	say("2. POST /v1/instances, with a webhook to %s", receiver.url())
	created, err := api.create(ctx, "demo", receiver.url())
	if err != nil {
		return err
	}
	if err := receiver.trust(created.secret); err != nil {
		return err
	}
	say("   instance %s, number %s", created.id, created.number)
	say("3. POST /v1/instances/demo/connect?wait=20, and the QR code to be scanned:")
	if err := api.connect(ctx, "demo"); err != nil {
		return err
	}
	drawing, err := api.get(ctx, "/v1/instances/demo/qr.txt")
	if err != nil {
		return err
	}
	say("\n%s", drawing)
	picture, err := api.get(ctx, "/v1/instances/demo/qr.png")
	if err != nil {
		return err
	}
	say("4. The phone scans the picture (%d bytes of PNG).", len(picture))
	if err := world.ScanPNG(ctx, phone, picture); err != nil {
		return fmt.Errorf("the phone could not scan: %w", err)
	}
	status, err := api.awaitPhase(ctx, "demo", "online")
	if err != nil {
		return err
	}
	say("5. GET /v1/instances/demo/status: phase %s, reason %s", status.Phase, status.Reason)
	delivery, err := receiver.await(ctx, "online")
	if err != nil {
		return err
	}
	say("6. The webhook of it arrived, and its signature (Standard Webhooks v1) was verified:\n")
	say("   webhook-id: %s\n   webhook-timestamp: %s\n   webhook-signature: %s\n\n%s\n", delivery.id, delivery.timestamp, delivery.signature, delivery.body)
	if o.Once {
		say("Done.")
		return nil
	}
	tellWhatNext(say, running)
	return nil
}

func tellWhatNext(say func(string, ...any), r standalone.Running) {
	say(`It stays up until you press Ctrl-C. Things to try, in another terminal:

  export PAIRGATE=http://%[1]s KEY=$(cat %[2]s)
  curl -s -H "Authorization: Bearer $KEY" $PAIRGATE/v1/instances/demo
  curl -sN -H "Authorization: Bearer $KEY" $PAIRGATE/v1/events        # live events
  curl -s -X POST http://%[3]s/accounts/%[4]s/drop                    # the connection breaks, and comes back
  curl -s -X POST http://%[3]s/accounts/%[4]s/unlink                  # the user unlinks the device on the phone
`, r.HTTP, r.AdminKeyFile, r.LabControl, phone)
}

// reveal is for the one place that sends the key: the Authorization header.
func reveal(key seal.Secret) string { return key.Reveal() }
