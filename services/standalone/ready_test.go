package standalone_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/services/standalone/internal/e2e"
)

// reasons returns the names that /readyz gives; none when it says yes.
func reasons(t *testing.T, d *e2e.Deployment) []string {
	t.Helper()
	r, err := d.API.With("").Try(http.MethodGet, "/readyz", nil)
	if err != nil {
		return []string{"no answer"}
	}
	var body struct {
		Ready   bool
		Reasons []struct{ Name, Detail string }
	}
	if err := json.Unmarshal(r.Raw, &body); err != nil {
		t.Fatalf("%v: %s", err, r.Raw)
	}
	if body.Ready != (r.Status == http.StatusOK) || body.Ready != (len(body.Reasons) == 0) {
		t.Fatalf("%d %s", r.Status, r.Raw)
	}
	var names []string
	for _, reason := range body.Reasons {
		if reason.Detail == "" {
			t.Errorf("reason %s says nothing", reason.Name)
		}
		names = append(names, reason.Name)
	}
	return names
}

func awaitReasons(t *testing.T, d *e2e.Deployment, want ...string) {
	t.Helper()
	bustest.CheckFor(t, 40*time.Second, func() error {
		if got := reasons(t, d); !slices.Equal(got, want) {
			return fmt.Errorf("/readyz gives %q, want %q", got, want)
		}
		return nil
	})
}

// TestReadyTellsWhatIsBroken breaks one thing at a time in a deployment of five
// processes, sees exactly its name at the gateway, and mends it.
func TestReadyTellsWhatIsBroken(t *testing.T) {
	d := e2e.Five(t, &binaries)
	awaitReasons(t, d)

	t.Run("registry", func(t *testing.T) {
		d.Processes["instance-registry"].Kill()
		awaitReasons(t, d, "registry")
		d.Restart("instance-registry")
		awaitReasons(t, d)
	})
	t.Run("ownership", func(t *testing.T) {
		d.Processes["session-worker"].Kill()
		awaitReasons(t, d, "ownership")
		d.Restart("session-worker")
		awaitReasons(t, d)
	})
}

// TestReadyTellsOfNATS takes NATS away: everything else fails for want of it, and
// only the cause is named.
func TestReadyTellsOfNATS(t *testing.T) {
	d := e2e.Five(t, &binaries)
	awaitReasons(t, d)
	d.StopNATS()
	awaitReasons(t, d, "nats")
}

// TestReadyTellsOfStreams starts a service that may not make the streams, where
// nobody has made them.
func TestReadyTellsOfStreams(t *testing.T) {
	server := bustest.Server(t, bustest.Listen)
	options := server.ConnOptions("test", nil)
	p := e2e.Start(t, binaries.Build(t, "qr-renderer"), nil, map[string]string{"PAIRGATE_NATS_URL": server.URL(),
		"PAIRGATE_NATS_USER": options.User, "PAIRGATE_NATS_PASSWORD": options.Password, "PAIRGATE_STREAMS": "check",
		"PAIRGATE_METRICS_ADDR": "127.0.0.1:0", "PAIRGATE_DATA_DIR": t.TempDir()})
	addr := p.AwaitLine("serving operations")["addr"].(string)
	d := &e2e.Deployment{API: e2e.NewAPI(t, "http://"+addr, "")}
	awaitReasons(t, d, "streams")
	bustest.Conn(t, server)
	awaitReasons(t, d)
}
