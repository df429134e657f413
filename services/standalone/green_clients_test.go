package standalone_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"pairgate.dev/pkg/instance"
)

// Published libraries of GREEN-API, unmodified but for the host name: an instance's
// whole life by the one, webhooks by the other.
func TestGreenAPIOwnLibraries(t *testing.T) {
	t.Parallel()
	const phone = "79005550123"
	const directory = "greenclients"
	if _, err := os.Stat(filepath.Join(directory, "node_modules", ".installed-from")); err != nil {
		t.Fatalf("GREEN-API's libraries are not installed: run scripts/install-greenapi-clients (%v)", err)
	}
	g := greenWhatsApp(t, nil)
	addPhoneOf(t, g.d, instance.WhatsApp, phone)
	lab := g.d.Processes["pairgate"].AwaitLine("serving")["labControl"].(string)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "clients.mjs", g.d.API.URL(), partnerToken, lab, phone)
	cmd.Dir = directory
	// Nothing of the environment may send the requests elsewhere.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
}
