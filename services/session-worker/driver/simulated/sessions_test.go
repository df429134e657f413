package simulated_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/lab/labclient"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/drivertest"
	"pairgate.dev/services/session-worker/driver/simulated"
)

// events is a sink that hands events to a test.
type events struct {
	tb testing.TB
	ch chan instance.SessionEvent
}

func newEvents(tb testing.TB) *events {
	return &events{tb, make(chan instance.SessionEvent, 256)}
}

func (e *events) sink(event instance.SessionEvent) { e.ch <- event }

// await returns the next event of type E, passing over others but Closed.
func await[E instance.SessionEvent](e *events) E {
	e.tb.Helper()
	var want E
	deadline := time.After(20 * time.Second)
	for {
		select {
		case event := <-e.ch:
			if got, ok := event.(E); ok {
				return got
			}
			if c, over := event.(instance.Closed); over {
				e.tb.Fatalf("closed with %s (%s) instead of %T", c.Reason, c.Detail, want)
			}
		case <-deadline:
			e.tb.Fatalf("no %T came", want)
		}
	}
}

func closedWith(e *events, want instance.Reason) instance.Closed {
	e.tb.Helper()
	c := await[instance.Closed](e)
	if c.Reason != want {
		e.tb.Fatalf("closed with %s (%s), want %s", c.Reason, c.Detail, want)
	}
	return c
}

var phones struct {
	sync.Mutex
	last int
}

func addPhone(tb testing.TB, c *labclient.Client) string {
	tb.Helper()
	phones.Lock()
	phones.last++
	phone := fmt.Sprintf("7900%07d", phones.last)
	phones.Unlock()
	if _, err := c.AddAccount(context.Background(), labapi.NewAccount{Provider: "simulated", Phone: phone}); err != nil {
		tb.Fatal(err)
	}
	return phone
}

func pairParams(id instance.ID) driver.PairParams {
	return driver.PairParams{Common: driver.Common{Instance: id}, Method: instance.MethodQR}
}

func loginParams(id instance.ID) driver.LoginParams {
	return driver.LoginParams{Common: driver.Common{Instance: id}}
}

// link links an instance and returns its open session.
func link(tb testing.TB, d driver.Driver, c *labclient.Client, phone string) (instance.ID, driver.Session, *events) {
	tb.Helper()
	id, e := drivertest.NewID(), newEvents(tb)
	s := d.Pair(context.Background(), pairParams(id), e.sink)
	if err := c.ScanCode(context.Background(), phone, await[instance.CodeIssued](e).Text); err != nil {
		tb.Fatal(err)
	}
	await[instance.Connected](e)
	return id, s, e
}

func devices(tb testing.TB, c *labclient.Client, phone string) int {
	tb.Helper()
	a, err := c.Account(context.Background(), phone)
	if err != nil {
		tb.Fatal(err)
	}
	return len(a.Devices)
}

func setFaults(tb testing.TB, c *labclient.Client, f labapi.Faults) {
	tb.Helper()
	if err := c.SetFaults(context.Background(), f); err != nil {
		tb.Fatal(err)
	}
}

func TestEndpointMustBeLoopback(t *testing.T) {
	for endpoint, ok := range map[string]bool{
		"127.0.0.1:7000": true, "localhost:1": true, "[::1]:65535": true, "127.8.9.1:80": true,
		"": false, "127.0.0.1": false, "127.0.0.1:0": false, "127.0.0.1:65536": false, "127.0.0.1:http": false,
		"10.0.0.1:7000": false, "example.com:7000": false, ":7000": false, "0.0.0.0:7000": false,
	} {
		if err := simulated.CheckEndpoint(endpoint); (err == nil) != ok {
			t.Errorf("CheckEndpoint(%q) = %v", endpoint, err)
		}
		if _, err := simulated.New(simulated.Options{Endpoint: endpoint, Vault: &drivertest.MemoryVault{}}); (err == nil) != ok {
			t.Errorf("New(%q): %v", endpoint, err)
		}
	}
	if _, err := simulated.New(simulated.Options{Endpoint: "127.0.0.1:1"}); err == nil {
		t.Error("New without a vault succeeded")
	}
}

// Decision: a proxy is the only way out, so a messenger that no proxy reaches is not reached at all.
func TestProxyIsNotGoneRound(t *testing.T) {
	d := newDriver(t, simulated.Options{Endpoint: deadAddr(t)})
	e := newEvents(t)
	p := pairParams(drivertest.NewID())
	p.Proxy = &driver.Proxy{Protocol: "socks5", Host: "127.0.0.1", Port: 1080}
	defer d.Pair(t.Context(), p, e.sink).Close()
	closedWith(e, instance.ReasonUnreachable)
}
