package standalone_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/standalone/internal/e2e"
)

// setVersion sets the client version of WhatsApp as another service does, and
// returns the reply.
func setVersion(t *testing.T, d *e2e.Deployment, version string) (body []byte, code string) {
	t.Helper()
	request, err := json.Marshal(map[string]string{"whatsappVersion": version})
	if err != nil {
		t.Fatal(err)
	}
	reply, err := d.NATS.Request(bus.SubjectSettingsUpdate, request, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return reply.Data, reply.Header.Get("Nats-Service-Error-Code")
}

// createWhatsApp makes an instance, and the phone that is to be linked to it.
func createWhatsApp(t *testing.T, d *e2e.Deployment, name, phone string) {
	t.Helper()
	account := labapi.NewAccount{Provider: string(instance.WhatsApp), Phone: phone, Name: "Ann"}
	if _, err := d.Lab.AddAccount(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	d.API.Want(http.StatusCreated, http.MethodPost, "/v1/instances", map[string]any{"name": name, "provider": instance.WhatsApp})
}

func linkWhatsApp(t *testing.T, d *e2e.Deployment, name, phone string) {
	t.Helper()
	createWhatsApp(t, d, name, phone)
	link(t, d, name, phone)
}

// inPhase waits until every instance is in the phase.
func inPhase(t *testing.T, d *e2e.Deployment, phase instance.Phase, names ...string) {
	t.Helper()
	for _, name := range names {
		d.API.AwaitPhase(name, string(phase))
	}
}

// WhatsApp asks for a version that it does not offer yet. Nobody restarts anything.
func TestOutdatedInstancesRecoverWhenTheVersionIsSet(t *testing.T) {
	for name, deploy := range map[string]e2e.Deploy{"one process": e2e.One, "five processes": e2e.Five} {
		t.Run(name, func(t *testing.T) { outdatedRecover(t, deploy(t, &binaries)) })
	}
}

func outdatedRecover(t *testing.T, d *e2e.Deployment) {
	const required = 4_000_000_000
	linked, phones := make([]string, 3), make([]string, 3)
	// Few prekeys make a link quick.
	if err := d.Lab.SetFaults(t.Context(), labapi.Faults{PreKeyCount: 1}); err != nil {
		t.Fatal(err)
	}
	for i := range linked {
		linked[i], phones[i] = fmt.Sprintf("shop-%d", i), fmt.Sprintf("1555010030%d", i)
		linkWhatsApp(t, d, linked[i], phones[i])
	}
	createWhatsApp(t, d, "new", "15550100309")
	faults := func(minimum int) {
		t.Helper()
		f := labapi.Faults{MinimumClientVersion: fmt.Sprintf("2.3000.%d", minimum), ClientRevision: 1, PreKeyCount: 1}
		if err := d.Lab.SetFaults(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	drop := func() {
		t.Helper()
		for _, phone := range phones {
			if err := d.Lab.Drop(t.Context(), phone); err != nil {
				t.Fatal(err)
			}
		}
	}

	faults(required)
	drop()
	inPhase(t, d, instance.Outdated, linked...)
	d.API.Want(http.StatusOK, http.MethodPost, "/v1/instances/new/connect?wait=30", nil)
	inPhase(t, d, instance.Outdated, "new")
	if body, code := setVersion(t, d, "2.2413.51"); code != "400" || !strings.Contains(string(body), "2.3000.") {
		t.Errorf("the retired form: %s %s", code, body)
	}

	if body, code := setVersion(t, d, fmt.Sprintf("2.3000.%d", required)); code != "" {
		t.Fatalf("%s %s", code, body)
	}
	inPhase(t, d, instance.Online, linked...)
	status := d.API.AwaitPhase("new", string(instance.Idle))
	if status["reason"] != string(instance.ReasonVersionChanged) {
		t.Errorf("the one that was not linked: %v", status)
	}
	link(t, d, "new", "15550100309")

	// What is sent is what was set, neither more nor less: one above it is refused.
	faults(required + 1)
	drop()
	inPhase(t, d, instance.Outdated, linked...)
	setVersion(t, d, fmt.Sprintf("2.3000.%d", required+1))
	inPhase(t, d, instance.Online, linked...)
	toldOnce(t, d)
}

// toldOnce checks that the log says once for each refused version what to do.
func toldOnce(t *testing.T, d *e2e.Deployment) {
	t.Helper()
	process := d.Processes["pairgate"]
	if process == nil {
		process = d.Processes["session-worker"]
	}
	bustest.CheckFor(t, 10*time.Second, func() error {
		if n := strings.Count(process.Log(), "WhatsApp refuses the client version"); n != 2 {
			return fmt.Errorf("the log says %d times what to do", n)
		}
		return nil
	})
}

// With nothing set there is nothing to do: WhatsApp Web names the version that is asked for.
func TestRefusedVersionIsReplacedByThatOfWhatsAppWeb(t *testing.T) {
	d := e2e.One(t, &binaries)
	const phone = "15550100321"
	linkWhatsApp(t, d, "shop", phone)
	before := d.API.Status("shop")
	if err := d.Lab.SetFaults(t.Context(), labapi.Faults{MinimumClientVersion: "2.3000.4000000000"}); err != nil {
		t.Fatal(err)
	}
	if err := d.Lab.Drop(t.Context(), phone); err != nil {
		t.Fatal(err)
	}
	d.API.AwaitStatus("shop", "online again", func(s map[string]any) bool {
		return s["phase"] == string(instance.Online) && s["since"] != before["since"]
	})
}

// The version that people have in their files is shown to WhatsApp from the start.
func TestVersionOfTheEnvironmentIsSent(t *testing.T) {
	d := e2e.OneIn(t, &binaries, t.TempDir()+"/data", map[string]string{"CONFIG_SESSION_PHONE_VERSION": "2.3000.4000000000",
		"CONFIG_SESSION_PHONE_CLIENT": "Our Shop"})
	const phone = "15550100331"
	if err := d.Lab.SetFaults(t.Context(), labapi.Faults{MinimumClientVersion: "2.3000.4000000000"}); err != nil {
		t.Fatal(err)
	}
	linkWhatsApp(t, d, "shop", phone)
	account, err := d.Lab.Account(t.Context(), phone)
	if err != nil || len(account.Devices) != 1 || account.Devices[0].Name != "Our Shop" {
		t.Errorf("the phone lists %+v, %v", account.Devices, err)
	}
}
