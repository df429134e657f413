package embedded_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/bus/embedded"
)

func TestStartSaysWhatToDo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		o    embedded.Options
		want string
	}{
		"NoDirectory":   {embedded.Options{}, "StoreDir is empty"},
		"NoCredentials": {embedded.Options{StoreDir: t.TempDir(), Listen: true}, "needs a user and a password"},
		"PortInUse": {embedded.Options{StoreDir: t.TempDir(), Listen: true, Port: l.Addr().(*net.TCPAddr).Port, User: "u", Password: "p"},
			"choose another address"},
		"StoreIsAFile": {embedded.Options{StoreDir: file}, "embedded NATS server"},
	} {
		t.Run(name, func(t *testing.T) {
			bustest.CheckGoroutines(t)
			srv, err := embedded.Start(tc.o)
			if err == nil {
				srv.Shutdown()
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %q, want %q in it", err, tc.want)
			}
		})
	}
}

func TestDataSurviveARestart(t *testing.T) {
	bustest.CheckGoroutines(t)
	dir := t.TempDir()
	core, logs := observer.New(zap.DebugLevel)
	put := func(o *embedded.Options) { o.StoreDir, o.SyncAlways, o.Log = dir, true, zap.New(core) }
	t.Run("Write", func(t *testing.T) {
		c := bustest.Conn(t, bustest.Server(t, put))
		kv, err := c.KeyValue(t.Context(), bus.BucketSettings)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Put(t.Context(), bus.SettingsKey, []byte("kept")); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("Read", func(t *testing.T) {
		srv := bustest.Server(t, put)
		if srv.URL() != "" || srv.Addr() != "" || srv.StoreDir() != dir {
			t.Errorf("%q %q %q", srv.URL(), srv.Addr(), srv.StoreDir())
		}
		kv, err := bustest.Conn(t, srv).KeyValue(t.Context(), bus.BucketSettings)
		if err != nil {
			t.Fatal(err)
		}
		if e, err := kv.Get(t.Context(), bus.SettingsKey); err != nil || string(e.Value()) != "kept" {
			t.Errorf("%v, %v", e, err)
		}
		srv.Shutdown()
		srv.Shutdown()
	})
	if logs.Len() == 0 {
		t.Error("the server's log is lost")
	}
}
