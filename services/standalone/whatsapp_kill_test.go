package standalone_test

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/standalone/internal/e2e"
)

// TestKilledWhatsAppSessionsComeBack kills the one process while sessions are
// online, and awaits all of them from the key store, without a new code.
func TestKilledWhatsAppSessionsComeBack(t *testing.T) { killWhatsAppSessions(t, 5) }

func killWhatsAppSessions(t *testing.T, sessions int) {
	dataDir := filepath.Join(t.TempDir(), "data")
	d := e2e.OneIn(t, &binaries, dataDir, nil)
	phone := func(n int) string { return fmt.Sprintf("1555020%04d", n) }
	name := func(n int) string { return fmt.Sprintf("session %d", n) }
	for n := range sessions {
		addPhoneOf(t, d, instance.WhatsApp, phone(n))
		createOf(t, d, instance.WhatsApp, name(n), nil)
	}
	var group errgroup.Group
	group.SetLimit(4)
	for n := range sessions {
		group.Go(func() error {
			path := "/v1/instances/" + url.PathEscape(name(n))
			shown, err := d.API.Try(http.MethodPost, path+"/connect?wait=60", nil)
			if err != nil {
				return err
			}
			qr, ok := shown.Body["qr"].(map[string]any)
			if !ok {
				return fmt.Errorf("connect answered %d %s", shown.Status, shown.Raw)
			}
			if err := d.Lab.ScanCode(t.Context(), phone(n), qr["code"].(string)); err != nil {
				return err
			}
			return d.API.Poll(path+"/status", func(status map[string]any) bool { return status["phase"] == "online" })
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	d.Processes["pairgate"].Kill()

	d = e2e.OneIn(t, &binaries, dataDir, nil)
	for n := range sessions {
		status := d.API.AwaitPhase(url.PathEscape(name(n)), "online")
		if number(t, status["attempt"]) != 1 {
			t.Errorf("%s was linked anew: %v", name(n), status)
		}
		oneDevice(t, d, phone(n))
	}
}

// oneDevice checks that the phone shows exactly one linked device.
func oneDevice(t *testing.T, d *e2e.Deployment, phone string) {
	t.Helper()
	account, err := d.Lab.Account(t.Context(), phone)
	if err != nil {
		t.Fatal(err)
	}
	if len(account.Devices) != 1 {
		t.Errorf("a phone shows %d linked devices, want 1", len(account.Devices))
	}
}

// TestKilledBetweenTheLinkAndItsStatus kills the worker when the phone and the key
// store know of the link and nobody else does: what it had to say was held up on
// its way to NATS. The link must be found, and no second one asked for.
func TestKilledBetweenTheLinkAndItsStatus(t *testing.T) {
	server := bustest.Server(t, bustest.Listen)
	options := server.ConnOptions("test", nil)
	target, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	relay := e2e.NewRelay(t, target.Host)
	d := e2e.FiveAt(t, &binaries, func(service string) map[string]string {
		at := map[string]string{"PAIRGATE_NATS_URL": server.URL(), "PAIRGATE_NATS_USER": options.User, "PAIRGATE_NATS_PASSWORD": options.Password}
		if service == "session-worker" {
			at["PAIRGATE_NATS_URL"] = "nats://" + relay.Addr()
		}
		return at
	})
	const phone = "15550203001"
	addPhoneOf(t, d, instance.WhatsApp, phone)
	createOf(t, d, instance.WhatsApp, "shop", nil)
	shown := d.API.Want(http.StatusOK, http.MethodPost, "/v1/instances/shop/connect?wait=30", nil).Body
	code := shown["qr"].(map[string]any)["code"].(string)

	relay.Hold()
	if err := d.Lab.ScanCode(t.Context(), phone, code); err != nil {
		t.Fatal(err) // it returns when the device has stored its keys and signed
	}
	d.Processes["session-worker"].Kill()
	relay.Drop()
	if status := d.API.Status("shop"); status["phase"] != "pairing" {
		t.Fatalf("the link was told of, so this test shows nothing: %v", status)
	}
	d.Restart("session-worker")
	status := d.API.AwaitPhase("shop", "online")
	if number(t, status["attempt"]) != 1 {
		t.Errorf("a linked phone was asked for a second link: %v", status)
	}
	oneDevice(t, d, phone)
}
