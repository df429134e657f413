package standalone_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pairgate.dev/pkg/bus/bustest"
)

// hook is a delivery as a receiver of Evolution API's webhooks sees it.
type hook struct {
	path, body string
	header     http.Header
}

type hooks struct {
	*httptest.Server
	mu  sync.Mutex
	got []hook
}

func newHooks(t *testing.T) *hooks {
	h := &hooks{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got = append(h.got, hook{r.URL.Path, string(body), r.Header.Clone()})
	}))
	t.Cleanup(h.Close)
	return h
}

// await waits until the last delivery has the pattern, and returns all.
func (h *hooks) await(e *evolution, pattern string) []hook {
	e.Helper()
	var got []hook
	bustest.CheckFor(e, time.Minute, func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if got = slices.Clone(h.got); len(got) == 0 || !e.matches(pattern, got[len(got)-1].body) {
			return fmt.Errorf("%d deliveries, waiting for %s: %v", len(got), pattern, got)
		}
		return nil
	})
	return got
}

// A webhook that was set through this face is delivered as the product would, in what
// it was asked for and nothing else.
func TestEvolutionAPIWebhookIsDeliveredAsItWasSet(t *testing.T) {
	e, receiver := evolutionSimulated(t), newHooks(t)
	url := receiver.URL + "/in"
	i := e.make("shop", `,"webhook":{"url":"`+url+`","byEvents":true,"headers":{"jwt_key":"sesame","X-Mine":"1"},"events":["QRCODE_UPDATED","CONNECTION_UPDATE"]}`)
	i.addPhone()
	tail := func(sender string) string {
		return `,"destination":"` + url + `","date_time":"<iso>",` + sender + `"apikey":null}`
	}
	change := func(data string) string { return `{"event":"connection.update","instance":"shop","data":` + data }
	i.connect("")
	receiver.await(e, `{"event":"qrcode.updated","instance":"shop","data":{"qrcode":{"instance":"shop","pairingCode":null,"code":"<qr>","base64":"data:image/png;base64,<png>"}}`+tail(""))
	i.scan()
	owner := `"sender":"` + i.phone + `@s.whatsapp.net",`
	got := receiver.await(e, change(`{"instance":"shop","wuid":"`+i.phone+`@s.whatsapp.net","profileName":"Ann","profilePictureUrl":null,"state":"open","statusReason":200}`)+tail(owner))
	for _, h := range got {
		want := "/in/connection-update"
		if strings.HasPrefix(h.body, `{"event":"qrcode.updated"`) {
			want = "/in/qrcode-updated"
		}
		if h.path != want || h.header.Get("X-Mine") != "1" || h.header.Get("jwt_key") != "" || h.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s with %v", h.path, h.header)
		}
		checkJWT(t, h.header.Get("Authorization"), "sesame")
	}
	if !e.matches(change(`{"instance":"shop","state":"connecting","statusReason":200}`)+tail(""), got[0].body) {
		t.Errorf("the first is %s", got[0].body)
	}
	// Set anew, with what the node of n8n calls it: from the next event on.
	i.call(http.MethodPost, "/webhook/set", `{"webhook":{"enabled":true,"url":"`+url+`","webhookByEvents":false,"headers":{},"events":["LOGOUT_INSTANCE"]}}`).want(http.StatusCreated)
	i.call(http.MethodDelete, "/instance/logout", "").want(http.StatusOK)
	after := receiver.await(e, `{"event":"logout.instance","instance":"shop","data":null`+tail("<anything>"))
	if last := after[len(after)-1]; len(after) != len(got)+1 || last.path != "/in" || last.header.Get("Authorization") != "" {
		t.Errorf("after the change %d deliveries, the last at %s with %v", len(after)-len(got), last.path, last.header)
	}
	i.call(http.MethodPost, "/webhook/set", `{"webhook":{"enabled":false,"url":"`+url+`","events":[]}}`).want(http.StatusCreated)
	i.connect("")
	i.call(http.MethodPost, "/webhook/set", `{"webhook":{"enabled":true,"url":"`+url+`","events":["INSTANCE_DELETE"]}}`).want(http.StatusCreated)
	i.call(http.MethodDelete, "/instance/delete", "").want(http.StatusOK)
	last := receiver.await(e, `{"event":"instance.delete","instance":"shop","data":{"instanceName":"shop","instanceId":"`+i.id+`"}`+tail("<anything>"))
	if len(last) != len(after)+1 {
		t.Errorf("while it was disabled %d were delivered", len(last)-len(after)-1)
	}
}

// checkJWT checks the token that the product signs deliveries with.
func checkJWT(t *testing.T, authorization, key string) {
	t.Helper()
	parts := strings.Split(strings.TrimPrefix(authorization, "Bearer "), ".")
	if len(parts) != 3 {
		t.Fatalf("the authorization is no token: %q", authorization)
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(parts[0] + "." + parts[1]))
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	var c struct {
		IAT, EXP    int64
		App, Action string
	}
	if err != nil || json.Unmarshal(claims, &c) != nil || c.EXP-c.IAT != 600 || c.App != "evolution" || c.Action != "webhook" {
		t.Errorf("the token claims %s", claims)
	}
	if base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) != parts[2] {
		t.Error("the token is signed by another key")
	}
}
