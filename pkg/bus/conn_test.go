package bus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/bus/embedded"
	"pairgate.dev/pkg/instance"
)

func TestConnectRefusesBadOptions(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]bus.Options{
		"Name":      {URL: "nats://127.0.0.1:1"},
		"URL":       {Name: "x"},
		"Two users": {Name: "x", URL: "nats://127.0.0.1:1", User: "a", Creds: "b"},
		"Half cert": {Name: "x", URL: "nats://127.0.0.1:1", CertFile: "a"},
		"NKey file": {Name: "x", URL: "nats://127.0.0.1:1", NKeyFile: "/does/not/exist"},
		"No seed":   {Name: "x", URL: "nats://127.0.0.1:1", NKeyFile: empty},
		"CA file":   {Name: "x", URL: "nats://127.0.0.1:1", CAFile: "/does/not/exist"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if _, err := bus.Connect(ctx, o); err == nil || ctx.Err() != nil {
			t.Errorf("%s: got %v", name, err)
		}
		cancel()
	}
}

func TestConnectTellsWrongCredentialsAtOnce(t *testing.T) {
	srv := bustest.Server(t, bustest.Listen)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := bus.Connect(ctx, bus.Options{Name: "x", URL: srv.URL(), User: "test", Password: "hunter2"})
	if !errors.Is(err, nats.ErrAuthorization) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	c, err := bus.Connect(ctx, bus.Options{Name: "x", URL: srv.URL(), User: "test", Password: "test-password"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Drain(ctx); err != nil {
		t.Error(err)
	}
	if err := c.Drain(ctx); err != nil {
		t.Errorf("draining again: %v", err)
	}
	if c.Connected() || !c.ConnectedSince().IsZero() {
		t.Error("a closed connection says that it is connected")
	}
}

func TestConnectWaitsForItsServerAndOutlivesIt(t *testing.T) {
	bustest.CheckGoroutines(t)
	port := freePort(t)
	o := embedded.Options{StoreDir: t.TempDir(), Listen: true, Port: port, User: "u", Password: "p"}
	connected := make(chan *bus.Conn, 1)
	reg := prometheus.NewRegistry()
	go func() {
		c, err := bus.Connect(t.Context(), bus.Options{Name: "early", URL: fmt.Sprintf("nats://127.0.0.1:%d", port), User: "u", Password: "p", Metrics: reg})
		if err != nil {
			t.Error(err)
		}
		connected <- c
	}()
	srv, err := embedded.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	c := <-connected
	if c == nil {
		srv.Shutdown()
		t.FailNow()
	}
	since := c.ConnectedSince()
	if since.IsZero() || !c.Connected() {
		t.Error("not connected")
	}
	srv.Shutdown()
	bustest.CheckFor(t, 10*time.Second, func() error {
		if !c.ConnectedSince().IsZero() {
			return errors.New("still connected")
		}
		return nil
	})
	if p := instance.AsProblem(bus.Request(t.Context(), c, "pairgate.v1.test.x", nil, nil)); p.Code != instance.CodeUnavailable {
		t.Errorf("a request without connection: %v", p)
	}
	again, err := embedded.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	bustest.CheckFor(t, 20*time.Second, func() error {
		if !c.ConnectedSince().After(since) {
			return errors.New("not connected again")
		}
		return nil
	})
	if err := c.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	<-c.Closed()
	again.Shutdown()
}

func TestConnectGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := bus.Connect(ctx, bus.Options{Name: "x", URL: fmt.Sprintf("nats://127.0.0.1:%d", freePort(t))})
	if err == nil || !strings.Contains(err.Error(), "no connection to NATS in time") {
		t.Errorf("got %v", err)
	}
}

// TestPermissionViolationsAreLoggedAndCounted guards the only place where a
// denied publish shows: its caller sees a time-out.
func TestPermissionViolationsAreLoggedAndCounted(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		Users: []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{"allowed"}},
			Subscribe: &server.SubjectPermission{Allow: []string{bus.InboxPrefix("qr-renderer") + ".>"}},
		}}}})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	core, logs := observer.New(zap.InfoLevel)
	reg := prometheus.NewRegistry()
	c, err := bus.Connect(t.Context(), bus.Options{Name: "qr-renderer", URL: s.ClientURL(), User: "u", Password: "p", Log: zap.New(core), Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Drain(context.Background()) })
	if err := bus.Send(t.Context(), c, "pairgate.v1.secret.subject", nil); err != nil {
		t.Fatal(err)
	}
	bustest.CheckFor(t, 5*time.Second, func() error {
		if c.Violations() != 1 {
			return fmt.Errorf("%d violations", c.Violations())
		}
		return nil
	})
	denied := logs.FilterMessageSnippet("denies us a subject").All()
	if len(denied) != 1 || denied[0].Level != zap.ErrorLevel || !strings.Contains(fmt.Sprint(denied[0].ContextMap()), "pairgate.v1.secret.subject") {
		t.Errorf("logged %v", denied)
	}
	// Replies come back: the inbox prefix is the one that the user may hear.
	if p := instance.AsProblem(bus.Request(t.Context(), c, "allowed", nil, nil)); p.Code != instance.CodeUnavailable {
		t.Errorf("got %v", p)
	}
	second, err := bus.Connect(t.Context(), bus.Options{Name: "qr-renderer", URL: s.ClientURL(), User: "u", Password: "p", Metrics: reg})
	if err != nil {
		t.Fatalf("a second connection with the same registry: %v", err)
	}
	if err := second.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestInProcessConnectionsUseTheCredentials(t *testing.T) {
	bustest.CheckGoroutines(t)
	srv := bustest.Server(t, bustest.Listen)
	c := bustest.Conn(t, srv)
	if srv.Addr() == "" || !strings.HasPrefix(srv.URL(), "nats://127.0.0.1:") {
		t.Errorf("address %q", srv.URL())
	}
	kv, err := c.KeyValue(t.Context(), bus.BucketInstances)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), bus.InstanceKey(testID), []byte("{}")); err != nil {
		t.Error(err)
	}
	second, err := bus.ConnectInProcess(t.Context(), srv, bus.Options{Name: "x", User: "test", Password: "test-password"})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := c.KeyValue(t.Context(), "NOBUCKET"); err == nil {
		t.Error("a bucket that is not there was found")
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
