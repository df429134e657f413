package standalone_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/services/lab/labapi"
)

// What users of Evolution API complain about, and what must never come back.

// (a) An incomplete creation is refused at once, names what is missing, and leaves nothing behind.
func TestEvolutionAPIIncompleteCreateSaysWhatIsMissing(t *testing.T) {
	e := evolutionSimulated(t)
	for body, want := range map[string][]string{
		`{}`:                                 {`instance requires property \"instanceName\"`, `instance requires property \"integration\"`},
		`{"integration":"WHATSAPP-BAILEYS"}`: {`instance requires property \"instanceName\"`},
		`{"instanceName":"x"}`:               {`Invalid integration`},
		`{"instanceName":"x","qrcode":"yes","number":5}`:                                                                             {"qrcode is not of a type(s) boolean", "number is not of a type(s) string"},
		`{"instanceName":"x","integration":"WHATSAPP-BAILEYS","qrcode":true,"number":"12"}`:                                          {"number must be a phone number"},
		`{"instanceName":"a/b","integration":"WHATSAPP-BAILEYS","token":"short","webhook":{"url":"http://example.com","events":[]}}`: {"instanceName: must not contain", "token: must be", "webhook.url: must begin with https://"},
	} {
		a := e.send(http.MethodPost, "/instance/create", body).want(http.StatusBadRequest)
		for _, w := range want {
			if !strings.Contains(a.body, w) {
				t.Errorf("%s: %s does not name %q", body, a.body, w)
			}
		}
	}
	if a := e.send(http.MethodGet, "/instance/fetchInstances", ""); a.body != "[]" {
		t.Errorf("refused creations have left %s", a.body)
	}
}

// (b) connect answers with a code or why there is none, connectionState with the
// state; never the one with the other's answer, and the state opens no window.
func TestEvolutionAPIConnectAndStateAnswerDifferently(t *testing.T) {
	e := evolutionSimulated(t)
	i := e.make("shop")
	i.addPhone()
	for range 3 {
		if s := i.state(); s != "close" {
			t.Fatalf("asking for the state has made it %q", s)
		}
	}
	for range 20 {
		shown, state := i.connect(""), i.call(http.MethodGet, "/instance/connectionState", "")
		if shown.Code == "" || shown.Base64 == "" || shown.Count < 1 || state.body != `{"instance":{"instanceName":"shop","state":"connecting"}}` {
			t.Fatalf("connect answers %+v, connectionState %s", shown, state.body)
		}
	}
	i.scan()
	i.awaitState("open")
	if a := i.call(http.MethodGet, "/instance/connect", ""); a.body != `{"instance":{"instanceName":"shop","state":"open"}}` {
		t.Errorf("connect of a linked instance answers %s", a.body)
	}
}

// (b) Only where there is no code within the wait, connect answers {"count":0}, and
// then the reason stands beside it.
func TestEvolutionAPIWithoutACodeSaysWhy(t *testing.T) {
	t.Parallel()
	e := evolutionSimulated(t)
	if err := e.d.Lab.SetFaults(t.Context(), labapi.Faults{RefuseConnections: true}); err != nil {
		t.Fatal(err)
	}
	i := e.make("shop")
	if a := i.call(http.MethodGet, "/instance/connect", ""); a.status != http.StatusOK || !e.matches(`{"count":0,"reason":"unreachable","message":"<text>"}`, a.body) {
		t.Errorf("without a messenger: %d %s", a.status, a.body)
	}
	if err := e.d.Lab.ClearFaults(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The messenger is back: who asks is shown the first code, however long it takes.
	if shown := i.connect(""); shown.Code == "" || shown.Reason != "" {
		t.Errorf("with the messenger back: %+v", shown)
	}
}

// (c) A stale phone version is refused in words that say what to set; it shows as
// such, and nothing looks as if it were waiting for a scan.
func TestEvolutionAPIStaleVersionIsRefusedWithTheRightForm(t *testing.T) {
	e := evolutionWhatsApp(t)
	linked := e.make("linked")
	linked.link()
	if err := e.d.Lab.SetFaults(t.Context(), labapi.Faults{MinimumClientVersion: "2.3000.4000000000", ClientRevision: 1}); err != nil {
		t.Fatal(err)
	}
	var made struct {
		Instance struct{ Status string }
		QRCode   qrObject
	}
	e.send(http.MethodPost, "/instance/create", `{"instanceName":"new","integration":"WHATSAPP-BAILEYS","qrcode":true}`).want(http.StatusCreated).decode(&made)
	i := &evolutionInstance{evolution: e, name: "new", path: "new", token: e.key}
	for what, shown := range map[string]qrObject{"create": made.QRCode, "connect": i.connect(""), "connect with a number": i.connect(e.newPhone())} {
		if shown.Code != "" || shown.Count != 0 || shown.Reason != "client_outdated" || !strings.Contains(shown.Message, "must be 2.3000.<number>") {
			t.Errorf("%s shows %+v", what, shown)
		}
	}
	if made.Instance.Status != "close" || i.state() != "close" {
		t.Errorf("created %q, and now %q", made.Instance.Status, i.state())
	}
	if err := e.d.Lab.Drop(t.Context(), linked.phone); err != nil {
		t.Fatal(err)
	}
	e.d.API.AwaitPhase("linked", "outdated")
	var rows []struct {
		Name, ConnectionStatus, DisconnectionObject string
		DisconnectionReasonCode                     int
	}
	e.send(http.MethodGet, "/instance/fetchInstances", "").want(http.StatusOK).decode(&rows)
	for _, row := range rows {
		want := map[string]string{"linked": "connecting", "new": "close"}[row.Name]
		if row.ConnectionStatus != want || row.DisconnectionReasonCode != 405 || !strings.Contains(row.DisconnectionObject, "must be 2.3000.") {
			t.Errorf("%+v", row)
		}
	}
	if body, code := setVersion(t, e.d, "2.2413.51"); code != "400" || !strings.Contains(string(body), "must be 2.3000.") {
		t.Errorf("a version of another form: %s %s", code, body)
	}
	if _, code := setVersion(t, e.d, "2.3000.4000000000"); code != "" {
		t.Fatalf("a version of the right form: %s", code)
	}
	linked.awaitState("open")
	bustest.CheckFor(t, time.Minute, func() error {
		if shown := i.connect(""); shown.Code == "" {
			return fmt.Errorf("no code with the new version: %+v", shown)
		}
		return nil
	})
}

// (d) A pairing code that is asked for again is the same as long as it lives, and
// another one after that; every one of them works.
func TestEvolutionAPIPairingCodeStaysTheSameForItsLife(t *testing.T) {
	e := evolutionSimulated(t)
	i := e.make("shop")
	i.addPhone()
	// Codes of the first window are over at once, those of later ones live as usual.
	if err := e.d.Lab.SetFaults(t.Context(), labapi.Faults{PairingCodeLifeSeconds: 2}); err != nil {
		t.Fatal(err)
	}
	first := i.connect(i.phone).PairingCode
	if first == "" {
		t.Fatal("no pairing code")
	}
	if err := e.d.Lab.ClearFaults(t.Context()); err != nil {
		t.Fatal(err)
	}
	var second string
	bustest.CheckFor(t, 30*time.Second, func() error {
		if second = i.connect(i.phone).PairingCode; second == first || second == "" {
			return fmt.Errorf("the code is %q", second)
		}
		return nil
	})
	for range 10 {
		if again := i.connect(i.phone); again.PairingCode != second || again.Code == "" {
			t.Fatalf("asked again inside its life: %+v", again)
		}
		if again := i.connect(""); again.PairingCode != second {
			t.Fatalf("asked again without the number: %+v", again)
		}
	}
	if err := e.d.Lab.EnterCode(t.Context(), i.phone, second); err != nil {
		t.Fatal(err)
	}
	i.awaitState("open")
}

// (e) After a logout a new code comes at once, and none of before is shown.
func TestEvolutionAPINewCodeComesAtOnceAfterALogout(t *testing.T) {
	e := evolutionSimulated(t)
	i := e.make("shop")
	i.addPhone()
	seen := map[string]bool{}
	for range 3 {
		shown := i.connect("")
		if shown.Code == "" || shown.Count != 1 || seen[shown.Code] {
			t.Fatalf("after a logout: %+v", shown)
		}
		seen[shown.Code] = true
		i.scan()
		i.awaitState("open")
		i.call(http.MethodDelete, "/instance/logout", "").want(http.StatusOK)
		if s := i.state(); s != "close" {
			t.Fatalf("after a logout that succeeded: %q", s)
		}
	}
}
