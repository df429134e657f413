package standalone_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/services/lab/labapi"
)

// What users of GREEN-API complain about, and what must never come back.

// (a) An incomplete creation is refused at once, and says what is missing.
func TestGreenAPIIncompleteCreateSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	g := greenSimulated(t, nil)
	for body, want := range map[string][]string{
		`{}`: {"name or at least one setting"},
		`{"name":"x","delaySendMessagesMilliseconds":1,"webhookUrl":"http://example.com","stateWebhook":1}`: {"'delaySendMessagesMilliseconds'", "'webhookUrl'", "'stateWebhook'"},
	} {
		a := g.send(http.MethodPost, "/partner/createInstance/"+partnerToken, body).want(http.StatusBadRequest)
		for _, w := range want {
			if !strings.Contains(a.body, w) {
				t.Errorf("%s: %q does not name %s", body, a.body, w)
			}
		}
	}
	var all []any
	g.send(http.MethodGet, "/partner/getInstances/"+partnerToken, nil).want(http.StatusOK).decode(&all)
	if len(all) != 0 {
		t.Errorf("refused creations have made %d instances", len(all))
	}
}

// (b) The code and the state are different questions with different answers, in
// every phase; asking for the code never shows in the state.
func TestGreenAPIConnectAndStateAnswerDifferently(t *testing.T) {
	t.Parallel()
	g := greenSimulated(t, map[string]string{"PAIRGATE_GREEN_API_LIMITS": "false"})
	i := g.make(false, nil)
	i.addPhone("")
	for range 20 {
		i.qr()
		if a := i.call("getStateInstance"); a.body != `{"stateInstance":"notAuthorized"}` {
			t.Fatalf("while codes are shown the state is %s", a.body)
		}
	}
	i.scan()
	i.await("authorized")
	if qr := i.call("qr").body; qr != `{"type":"alreadyLogged","message":"instance account already authorized"}` {
		t.Errorf("qr of a linked instance: %s", qr)
	}
}

// (c) A stale phone version is refused in words that say what to set, and nothing
// looks as if it were waiting for a scan.
func TestGreenAPIStaleVersionIsRefusedWithTheRightForm(t *testing.T) {
	t.Parallel()
	g := greenWhatsApp(t, map[string]string{"PAIRGATE_GREEN_API_LIMITS": "false"})
	linked := g.linked(false)
	if err := g.d.Lab.SetFaults(t.Context(), labapi.Faults{MinimumClientVersion: "2.3000.4000000000", ClientRevision: 1}); err != nil {
		t.Fatal(err)
	}
	i := g.make(false, nil)
	a := i.call("qr").want(http.StatusOK)
	var shown struct{ Type, Message string }
	a.decode(&shown)
	if shown.Type != "error" || !strings.Contains(shown.Message, "2.3000.") || a.header.Get("X-Error-Code") != "client_outdated" {
		t.Errorf("qr with a refused version: %s (%s)", a.body, a.header.Get("X-Error-Code"))
	}
	i.await("notAuthorized")
	if err := g.d.Lab.Drop(t.Context(), linked.phone); err != nil {
		t.Fatal(err)
	}
	g.d.API.AwaitPhase(linked.number, "outdated")
	linked.await("authorized")
	if a := linked.call("getStatusInstance"); a.body != `{"statusInstance":"offline"}` {
		t.Errorf("a linked instance with a refused version: %s", a.body)
	}
	if _, code := setVersion(t, g.d, "2.2413.1"); code != "400" {
		t.Errorf("a version of a retired form is answered with %q", code)
	}
}

// (d) A pairing code that is asked for again is the same for as long as it lives, and
// a new one after that; another phone has another one.
func TestGreenAPIPairingCodeIsTheSameWithinItsLife(t *testing.T) {
	t.Parallel()
	g := greenSimulated(t, nil)
	if err := g.d.Lab.SetFaults(t.Context(), labapi.Faults{PairingCodeLifeSeconds: 4}); err != nil {
		t.Fatal(err)
	}
	i := g.make(false, nil)
	i.addPhone("")
	ask := func(phone string) (code string) {
		t.Helper()
		var shown struct {
			Status bool
			Code   string
		}
		i.post("getAuthorizationCode", `{"phoneNumber":`+phone+`}`).want(http.StatusOK).decode(&shown)
		if !shown.Status || len(shown.Code) != 8 {
			t.Fatalf("no code: %+v", shown)
		}
		return shown.Code
	}
	first := ask(i.phone)
	for range 5 {
		if again := ask(i.phone); again != first {
			t.Fatalf("the code was %s and is %s", first, again)
		}
	}
	var next string
	bustest.CheckFor(t, time.Minute, func() error {
		if next = ask(i.phone); next == first {
			return errors.New("still the first code")
		}
		return nil
	})
	if err := g.d.Lab.ClearFaults(t.Context()); err != nil {
		t.Fatal(err)
	}
	if other := ask("79005550199"); other == next {
		t.Error("another phone has the same code")
	}
	last := ask(i.phone)
	if err := g.d.Lab.EnterCode(t.Context(), i.phone, last); err != nil {
		t.Fatal(err)
	}
	i.await("authorized")
}

// (e) After a logout a code comes with the next request, on the phone too.
func TestGreenAPIAfterLogoutANewCodeComesAtOnce(t *testing.T) {
	t.Parallel()
	g := greenSimulated(t, map[string]string{"PAIRGATE_GREEN_API_LIMITS": "false"})
	i := g.linked(false)
	for range 3 {
		if a := i.call("logout"); a.body != `{"isLogout":true}` {
			t.Fatalf("logout: %d %s", a.status, a.body)
		}
		i.scan()
		i.await("authorized")
	}
	if err := g.d.Lab.Unlink(t.Context(), i.phone); err != nil {
		t.Fatal(err)
	}
	i.await("notAuthorized")
	i.qr()
}

// A picture is never over when it is answered, however quickly codes change, and who
// asks at a rotation gets the next one.
func TestGreenAPIPictureIsNeverOver(t *testing.T) {
	t.Parallel()
	g := greenSimulated(t, map[string]string{"PAIRGATE_GREEN_API_LIMITS": "false"})
	if err := g.d.Lab.SetFaults(t.Context(), labapi.Faults{CodeLifeSeconds: 0.5}); err != nil {
		t.Fatal(err)
	}
	i := g.make(false, nil)
	pictures := map[string]bool{}
	bustest.CheckFor(t, time.Minute, func() error {
		sent := time.Now()
		a := i.call("qr").want(http.StatusOK)
		expires, err := time.Parse(time.RFC3339Nano, a.header.Get("X-QR-Expires-At"))
		if err != nil || !expires.After(sent) {
			t.Fatalf("asked at %v: %v %v %.80s", sent, expires, err, a.body)
		}
		if pictures[a.body] = true; len(pictures) < 6 {
			return fmt.Errorf("%d pictures", len(pictures))
		}
		return nil
	})
}

// The spelling of a linked MAX instance is configurable, and WhatsApp's is not.
func TestGreenAPISpellingOfLinkedMAX(t *testing.T) {
	t.Parallel()
	g := greenSimulated(t, map[string]string{"PAIRGATE_GREEN_API_LINKED": "already_registered"})
	for v3, want := range map[bool]string{true: "already_registered", false: "alreadyLogged"} {
		if a := g.linked(v3).call("qr"); a.body != `{"type":"`+want+`","message":"instance account already authorized"}` {
			t.Errorf("MAX %v: %s", v3, a.body)
		}
	}
}
