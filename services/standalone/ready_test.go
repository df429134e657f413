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

// TestReadyTellsOfTheLab breaks the lab of the one process.
func TestReadyTellsOfTheStart(t *testing.T) {
	d := e2e.One(t, &binaries)
	awaitReasons(t, d)
}
