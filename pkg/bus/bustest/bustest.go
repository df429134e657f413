// Package bustest gives tests a NATS server, or an in-process cluster of three,
// with every stream and bucket made, and the helpers that tests of concurrent
// code need. Everything ends with the test; nothing listens beyond loopback.
package bustest

import (
	"context"
	"testing"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/embedded"
)

// Server starts a server with JetStream in a temporary directory and ends it
// with the test. It has no socket unless an option asks for one.
func Server(tb testing.TB, opts ...func(*embedded.Options)) *embedded.Server {
	tb.Helper()
	o := embedded.Options{StoreDir: tb.TempDir(), Name: "bustest", MaxStore: 16 << 30}
	for _, opt := range opts {
		opt(&o)
	}
	srv, err := embedded.Start(o)
	if err != nil {
		tb.Fatalf("bustest: %v", err)
	}
	tb.Cleanup(srv.Shutdown)
	return srv
}

// Listen makes Server open a socket on a free loopback port with a user and password.
func Listen(o *embedded.Options) {
	o.Listen, o.User, o.Password = true, "test", "test-password"
}

// ConnOption changes how Conn connects or what it ensures.
type ConnOption func(*connConfig)

type connConfig struct {
	options bus.Options
	ensure  bus.EnsureOptions
	skip    bool
}

// LeaseTTL sets the life of leases in WORKERS, at least 1 s; the first Conn of a server decides.
func LeaseTTL(d time.Duration) ConnOption { return func(c *connConfig) { c.ensure.LeaseTTL = d } }

// Replicas sets the replicas of every stream; 3 needs a Cluster.
func Replicas(n int) ConnOption { return func(c *connConfig) { c.ensure.Replicas = n } }

// MaxBytes sets the size of one stream or bucket.
func MaxBytes(name string, size int64) ConnOption {
	return func(c *connConfig) {
		if c.ensure.MaxBytes == nil {
			c.ensure.MaxBytes = map[string]int64{}
		}
		c.ensure.MaxBytes[name] = size
	}
}

// WithoutStreams leaves the streams unmade.
func WithoutStreams() ConnOption { return func(c *connConfig) { c.skip = true } }

// With changes the connection's options, such as its name or logger.
func With(change func(*bus.Options)) ConnOption { return func(c *connConfig) { change(&c.options) } }

// Conn connects to the server, makes every stream and bucket, and drains the
// connection with the test.
func Conn(tb testing.TB, srv *embedded.Server, opts ...ConnOption) *bus.Conn {
	tb.Helper()
	return connect(tb, srv.ConnOptions("bustest", nil), opts)
}

func connect(tb testing.TB, o bus.Options, opts []ConnOption) *bus.Conn {
	tb.Helper()
	cfg := connConfig{options: o}
	for _, opt := range opts {
		opt(&cfg)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := bus.Connect(ctx, cfg.options)
	if err != nil {
		tb.Fatalf("bustest: %v", err)
	}
	tb.Cleanup(func() { drain(tb, c) })
	if !cfg.skip {
		if _, err := bus.Ensure(ctx, c, cfg.ensure); err != nil {
			tb.Fatalf("bustest: %v", err)
		}
	}
	return c
}

func drain(tb testing.TB, c *bus.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.Drain(ctx); err != nil {
		tb.Logf("bustest: %v", err)
	}
}
