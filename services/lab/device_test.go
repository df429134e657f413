package lab_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"pairgate.dev/pkg/simwire"
	"pairgate.dev/services/lab"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/lab/labclient"
)

const patience = 20 * time.Second

// startLab runs a lab for the test.
func startLab(tb testing.TB, cfg lab.Config, deps lab.Deps) (*lab.Lab, *labclient.Client) {
	tb.Helper()
	if cfg.DataDir == "" {
		cfg.DataDir = tb.TempDir()
	}
	cfg.ControlAddr = "127.0.0.1:0"
	l, err := lab.Start(context.Background(), cfg, deps)
	if err != nil {
		tb.Fatal(err)
	}
	c := labclient.New(l.Addrs().Control)
	tb.Cleanup(func() {
		c.Close()
		if err := l.Close(); err != nil {
			tb.Errorf("closing the lab: %v", err)
		}
	})
	return l, c
}

// device is a driver in miniature: one connection, whose sessions tests work by hand.
type device struct {
	tb     testing.TB
	nc     net.Conn
	frames chan simwire.Frame
	mu     sync.Mutex
}

func dial(tb testing.TB, addr string) *device {
	tb.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	d := &device{tb: tb, nc: nc, frames: make(chan simwire.Frame, 10_000)}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(d.frames)
		r := simwire.NewReader(nc)
		for {
			f, err := r.Next()
			if err != nil {
				return
			}
			d.frames <- f
		}
	})
	tb.Cleanup(func() { _ = nc.Close(); wg.Wait() })
	d.send(simwire.Frame{Type: simwire.TypeHello, Version: simwire.Version, Client: "1.0"})
	return d
}

func (d *device) send(f simwire.Frame) {
	d.tb.Helper()
	line, err := simwire.Encode(f)
	if err != nil {
		d.tb.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.nc.Write(line); err != nil {
		d.tb.Error(err)
	}
}

// await returns the next frame of the type, passing over others.
func (d *device) await(want simwire.Type) simwire.Frame {
	d.tb.Helper()
	deadline := time.After(patience)
	for {
		select {
		case f, ok := <-d.frames:
			if !ok {
				d.tb.Fatalf("the connection ended before %s", want)
			}
			if f.Type == want {
				return f
			}
		case <-deadline:
			d.tb.Fatalf("no %s came", want)
		}
	}
}

// pair opens a linking session and returns its first code.
func (d *device) pair(session uint64) string {
	d.tb.Helper()
	d.send(simwire.Frame{Type: simwire.TypeOpenPair, Session: session, Instance: fmt.Sprint("instance-", session), Method: "qr", DeviceName: "Test"})
	return d.await(simwire.TypeCode).Text
}

// link links a new device to the phone and returns the frame with its keys.
func (d *device) link(c *labclient.Client, session uint64, phone string) simwire.Frame {
	d.tb.Helper()
	text := d.pair(session)
	scanned := make(chan error, 1)
	go func() { scanned <- c.ScanCode(context.Background(), phone, text) }()
	keys := d.await(simwire.TypeKeys)
	d.send(simwire.Frame{Type: simwire.TypeStored, Session: session})
	d.await(simwire.TypeOnline)
	if err := <-scanned; err != nil {
		d.tb.Fatal(err)
	}
	return keys
}

func addAccount(tb testing.TB, c *labclient.Client, phone string) {
	tb.Helper()
	if _, err := c.AddAccount(context.Background(), labapi.NewAccount{Provider: "simulated", Phone: phone, Name: "Ada"}); err != nil {
		tb.Fatal(err)
	}
}

func devices(tb testing.TB, c *labclient.Client, phone string) []labapi.Device {
	tb.Helper()
	a, err := c.Account(context.Background(), phone)
	if err != nil {
		tb.Fatal(err)
	}
	return a.Devices
}
