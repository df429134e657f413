package standalone_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/standalone/internal/e2e"
)

// tour is a deployment on which every operation is tried.
type tour struct {
	*described
	d     *e2e.Deployment
	api   *e2e.API
	key   string
	token string // of the instance "other"
}

// TestHTTPIsAsDescribed tries every operation of openapi.yaml, with each status
// that it describes, and compares the same operations over NATS.
func TestHTTPIsAsDescribed(t *testing.T) {
	v := &tour{described: describe(t), d: e2e.One(t, &binaries)}
	v.api = v.d.API
	v.key = fileText(t, filepath.Join(v.d.DataDir, "admin-key"))
	v.token = v.want(t, v.api, http.StatusCreated, "POST /v1/instances", sent{body: newInstance("other")}).Body["token"].(string)
	for _, part := range []struct {
		name string
		try  func(*testing.T)
	}{
		{"instances", v.instances}, {"linking", v.linking}, {"pairing code", v.pairingCode}, {"password", v.password},
		{"passkey", v.passkey}, {"webhooks", v.webhooks}, {"deliveries", v.deliveries}, {"events", v.events}, {"operations", v.operate},
		{"refusals", v.refusals}, {"refusals over NATS", v.refusalsOverNATS}, {"away and too many", v.away},
	} {
		t.Run(part.name, part.try)
	}
	if !t.Failed() {
		v.complete(t)
	}
}

func newInstance(name string) map[string]any {
	return map[string]any{"name": name, "provider": "simulated"}
}

// until repeats a request until it gets the status: what is answered at once
// depends on how fast somebody else is.
func (v *tour) until(t *testing.T, status int, name string, s sent) e2e.Reply {
	t.Helper()
	var r e2e.Reply
	for range 50 {
		if r = v.call(t, v.api, name, s); r.Status == status {
			return r
		}
	}
	t.Fatalf("%s: %d, want %d: %s", name, r.Status, status, r.Raw)
	return r
}

func (v *tour) instances(t *testing.T) {
	full := map[string]any{"name": "full", "provider": "simulated", "number": 123456789012, "qrTimeout": 60, "phone": "+1 555 0100", "token": "a-token-that-was-chosen",
		"webhooks": []any{map[string]any{"url": "https://example.com/hook", "events": []any{"status"}, "headers": map[string]any{"X-Own": "1"}, "enabled": false}},
		"settings": map[string]any{"deviceName": "Shop", "qr": map[string]any{"level": "H", "size": 400, "foreground": "#101010", "background": "#ffffff", "margin": 2}}}
	key := []string{"Idempotency-Key", "one"}
	first := v.want(t, v.api, 201, "POST /v1/instances", sent{body: full, header: key})
	again := v.want(t, v.api, 201, "POST /v1/instances", sent{body: full, header: key})
	if string(first.Raw) != string(again.Raw) {
		t.Errorf("the same creation answers %s, then %s", first.Raw, again.Raw)
	}
	v.want(t, v.api, 422, "POST /v1/instances", sent{body: newInstance("another"), header: key})
	v.same(t, v.want(t, v.api, 409, "POST /v1/instances", sent{body: newInstance("full")}), "instances.create", newInstance("full"))
	taken := newInstance("taken")
	taken["number"] = "123456789012"
	v.same(t, v.want(t, v.api, 409, "POST /v1/instances", sent{body: taken}), "instances.create", taken)

	one := v.want(t, v.api, 200, "GET /v1/instances", sent{query: "pageSize=1&provider=simulated&phase=idle"})
	v.sameObject(t, one.Body, v.ask(t, "instances.list", map[string]any{"pageSize": 1, "provider": "simulated", "phase": "idle"}))
	next := map[string]any{"pageToken": one.Body["nextPageToken"], "name": "FULL"}
	rest := v.want(t, v.api, 200, "GET /v1/instances", sent{query: fmt.Sprintf("pageToken=%s&name=FULL", next["pageToken"])})
	if len(rest.Body["instances"].([]any)) != 1 || rest.Body["nextPageToken"] != "" {
		t.Errorf("the second page is %s", rest.Raw)
	}
	v.sameObject(t, rest.Body, v.ask(t, "instances.list", next))

	v.want(t, v.api, 200, "PATCH /v1/instances/{ref}", sent{ref: "full", body: map[string]any{"qrTimeout": 90, "phone": "",
		"settings": map[string]any{"deviceName": "Office"}, "proxy": map[string]any{"host": ""}}})
	v.want(t, v.api, 409, "PATCH /v1/instances/{ref}", sent{ref: "full", body: map[string]any{"name": "other"}})
	v.same(t, v.call(t, v.api, "PATCH /v1/instances/{ref}", sent{ref: "full", body: map[string]any{"name": "other"}}), "instances.update", map[string]any{"ref": "full", "name": "other"})
	unchanged := v.want(t, v.api, 200, "PATCH /v1/instances/{ref}", sent{ref: "full", body: map[string]any{}})
	v.sameObject(t, unchanged.Body, v.ask(t, "instances.update", map[string]any{"ref": "full"})["instance"])
	shown := v.want(t, v.api, 200, "GET /v1/instances/{ref}", sent{ref: "123456789012"})
	v.sameObject(t, shown.Body, unchanged.Body)
	v.sameObject(t, shown.Body, v.ask(t, "instances.get", map[string]any{"ref": "full"})["instance"])

	v.want(t, v.api, 200, "POST /v1/instances/{ref}/token", sent{ref: "full"})
	chosen := v.want(t, v.api, 200, "POST /v1/instances/{ref}/token", sent{ref: "full", body: map[string]any{"token": "another-token-that-was-chosen"}})
	overNATS := v.ask(t, "instances.rotate-token", map[string]any{"ref": "full", "token": "another-token-that-was-chosen"})
	if chosen.Body["token"] != overNATS["token"] {
		t.Error("the chosen token is not what it answers")
	}
	v.want(t, v.api, 204, "DELETE /v1/instances/{ref}", sent{ref: "full"})
	v.want(t, v.api, 204, "DELETE /v1/instances/{ref}", sent{ref: "123456789012"})
	v.ask(t, "instances.delete", map[string]any{"ref": "123456789012"})
	created := v.ask(t, "instances.create", newInstance("over-nats"))
	v.want(t, v.api.With(created["token"].(string)), 200, "GET /v1/instances/{ref}", sent{ref: "over-nats"})
}

func (v *tour) linking(t *testing.T) {
	const phone, ref = "15550100501", "shop"
	addPhone(t, v.d, phone)
	v.want(t, v.api, 201, "POST /v1/instances", sent{body: newInstance(ref)})
	v.want(t, v.api, 200, "GET /v1/instances/{ref}/status", sent{ref: ref})
	pictures := []string{"GET /v1/instances/{ref}/qr", "GET /v1/instances/{ref}/qr.png", "GET /v1/instances/{ref}/qr.svg", "GET /v1/instances/{ref}/qr.txt"}
	for _, name := range pictures {
		v.same(t, v.want(t, v.api, 404, name, sent{ref: ref}), "qr.get", map[string]any{"ref": ref})
	}
	v.want(t, v.api, 404, "GET /v1/instances/{ref}/pairing-code", sent{ref: ref})
	for _, name := range []string{"password", "passkey/response", "passkey/confirm"} {
		o := v.operation(t, "POST /v1/instances/{ref}/"+name)
		v.same(t, v.want(t, v.api, 409, o.name(), sent{ref: ref, body: answers[name]}), strings.TrimPrefix(o.subject(), "pairgate.v1."), o.overNATS(ref, answers[name]))
	}

	v.until(t, 202, "POST /v1/instances/{ref}/connect", sent{ref: ref})
	shown := v.want(t, v.api, 200, "POST /v1/instances/{ref}/connect", sent{ref: ref, query: "wait=30", body: map[string]any{"method": "qr"}})
	v.ask(t, "instances.connect", map[string]any{"ref": ref})
	if shown.Body["qr"].(map[string]any)["image"] == nil {
		t.Errorf("connect answered no picture")
	}
	code := v.want(t, v.api, 200, "GET /v1/instances/{ref}/qr", sent{ref: ref, query: "wait=5&size=300&level=Q&margin=3&foreground=102030&background=%23ffffff"}).Body["code"].(string)
	bustest.CheckFor(t, patience, func() error {
		now := v.want(t, v.api, 200, "GET /v1/instances/{ref}/qr", sent{ref: ref}).Body
		overNATS := v.ask(t, "qr.get", map[string]any{"ref": ref})["qr"].(map[string]any)
		code = now["code"].(string)
		if overNATS["code"] != code || overNATS["image"] != now["image"] {
			return fmt.Errorf("HTTP shows the code %v, NATS %v", now["sequence"], overNATS["sequence"])
		}
		return nil
	})
	v.want(t, v.api, 200, pictures[1], sent{ref: ref, query: "size=200"})
	v.want(t, v.api, 200, pictures[2], sent{ref: ref, query: "level=L"})
	v.want(t, v.api, 200, pictures[3], sent{ref: ref, query: "invert=true&margin=1"})
	v.scan(t, ref, phone)
	v.api.AwaitPhase(ref, "online")
	for _, name := range pictures {
		v.same(t, v.want(t, v.api, 409, name, sent{ref: ref}), "qr.get", map[string]any{"ref": ref})
	}
	v.want(t, v.api, 409, "GET /v1/instances/{ref}/pairing-code", sent{ref: ref})
	v.want(t, v.api, 200, "POST /v1/instances/{ref}/connect", sent{ref: ref, query: "wait=30"})

	for _, verb := range []string{"restart", "logout"} {
		v.until(t, 202, "POST /v1/instances/{ref}/"+verb, sent{ref: ref})
		v.want(t, v.api, 200, "POST /v1/instances/{ref}/"+verb, sent{ref: ref, query: "wait=60", body: map[string]any{}})
		v.ask(t, "instances."+verb, map[string]any{"ref": ref})
	}
}

// scan scans the code of the moment; one that went by meanwhile is tried again.
func (v *tour) scan(t *testing.T, ref, phone string) {
	t.Helper()
	bustest.CheckFor(t, patience, func() error {
		return v.d.Lab.ScanCode(t.Context(), phone, v.want(t, v.api, 200, "GET /v1/instances/{ref}/qr", sent{ref: ref, query: "wait=10"}).Body["code"].(string))
	})
}

func (v *tour) pairingCode(t *testing.T) {
	const phone, ref = "15550100502", "typed"
	addPhone(t, v.d, phone)
	v.want(t, v.api, 201, "POST /v1/instances", sent{body: newInstance(ref)})
	shown := v.want(t, v.api, 200, "POST /v1/instances/{ref}/connect", sent{ref: ref, query: "wait=30", body: map[string]any{"method": "code", "phone": phone}})
	code := v.want(t, v.api, 200, "GET /v1/instances/{ref}/pairing-code", sent{ref: ref, query: "wait=10"})
	if shown.Body["pairingCode"].(map[string]any)["phone"] != phone || code.Body["phone"] != phone {
		t.Error("the code is for another phone")
	}
	if err := v.d.Lab.EnterCode(t.Context(), phone, code.Body["code"].(string)); err != nil {
		t.Fatal(err)
	}
	v.api.AwaitPhase(ref, "online")
}

// protected links two instances with a phone that asks for more, and answers one over each face.
func (v *tour) protected(t *testing.T, account labapi.NewAccount, phase string, answer func(ref string, overNATS bool)) {
	for i, ref := range []string{phase + "-http", phase + "-nats"} {
		account.Provider, account.Phone = "simulated", fmt.Sprint(15550100510+len(phase)*10+i)
		if _, err := v.d.Lab.AddAccount(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		v.want(t, v.api, 201, "POST /v1/instances", sent{body: newInstance(ref)})
		v.want(t, v.api, 200, "POST /v1/instances/{ref}/connect", sent{ref: ref, query: "wait=30"})
		v.scan(t, ref, account.Phone)
		v.api.AwaitPhase(ref, phase)
		answer(ref, i == 1)
		v.api.AwaitPhase(ref, "online")
	}
}

func (v *tour) password(t *testing.T) {
	v.protected(t, labapi.NewAccount{Password: "sesame"}, "passwordRequired", func(ref string, overNATS bool) {
		if overNATS {
			v.ask(t, "instances.password", map[string]any{"ref": ref, "password": "sesame"})
			return
		}
		v.want(t, v.api, 200, "POST /v1/instances/{ref}/password", sent{ref: ref, body: map[string]any{"password": "sesame"}})
	})
}

func (v *tour) passkey(t *testing.T) {
	v.protected(t, labapi.NewAccount{Passkey: true}, "passkeyRequired", func(ref string, overNATS bool) {
		status := v.want(t, v.api, 200, "GET /v1/instances/{ref}/status", sent{ref: ref}).Body
		answer := passkeyAnswer(t, status["passkey"].(map[string]any)["options"].(string))
		if overNATS {
			v.ask(t, "instances.passkey", map[string]any{"ref": ref, "response": answer})
		} else {
			v.want(t, v.api, 200, "POST /v1/instances/{ref}/passkey/response", sent{ref: ref, body: map[string]any{"response": answer}})
		}
		v.api.AwaitStatus(ref, "a code to compare", func(s map[string]any) bool {
			challenge, _ := s["passkey"].(map[string]any)
			return challenge != nil && challenge["confirmation"] != ""
		})
		if overNATS {
			v.ask(t, "instances.passkey", map[string]any{"ref": ref, "confirm": true})
			return
		}
		v.want(t, v.api, 200, "POST /v1/instances/{ref}/passkey/confirm", sent{ref: ref})
	})
}

// passkeyAnswer is what an authenticator would say to the challenge.
func passkeyAnswer(t *testing.T, options string) string {
	t.Helper()
	var o struct{ Challenge string }
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		t.Fatal(err)
	}
	client, err := json.Marshal(map[string]string{"type": "webauthn.get", "challenge": o.Challenge})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := json.Marshal(map[string]any{"id": "credential", "response": map[string]string{"clientDataJSON": base64.RawURLEncoding.EncodeToString(client)}})
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func (v *tour) webhooks(t *testing.T) {
	receiver := e2e.NewReceiver(t)
	for _, of := range []struct{ base, ref string }{{"/v1/instances/{ref}/webhooks", "other"}, {"/v1/webhooks", ""}} {
		made := v.want(t, v.api, 201, "POST "+of.base, sent{ref: of.ref, body: map[string]any{"url": receiver.URL(), "headers": map[string]any{"X-Own": "1"}}})
		overNATS := v.ask(t, "webhooks.create", map[string]any{"ref": of.ref, "webhook": map[string]any{"url": receiver.URL()}})["webhook"].(map[string]any)
		id := made.Body["id"].(string)
		if !strings.HasSuffix(made.Header.Get("Location"), "/"+id) {
			t.Errorf("Location %q", made.Header.Get("Location"))
		}
		v.sameObject(t, v.want(t, v.api, 200, "GET "+of.base, sent{ref: of.ref}).Body, v.ask(t, "webhooks.list", map[string]any{"ref": of.ref}))
		one := of.base + "/{webhookId}"
		shown := v.want(t, v.api, 200, "GET "+one, sent{ref: of.ref, webhook: id})
		v.sameObject(t, shown.Body, v.ask(t, "webhooks.list", map[string]any{"ref": of.ref, "webhookId": id})["webhooks"].([]any)[0])
		changed := v.want(t, v.api, 200, "PATCH "+one, sent{ref: of.ref, webhook: id, body: map[string]any{"events": []any{"deleted"}, "enabled": true, "headers": map[string]any{}}})
		again := v.ask(t, "webhooks.update", map[string]any{"ref": of.ref, "webhookId": id, "events": map[string]any{"kinds": []any{"deleted"}}})["webhook"].(map[string]any)
		again["updatedAt"] = changed.Body["updatedAt"]
		v.sameObject(t, changed.Body, again)
		bustest.CheckFor(t, patience, func() error {
			// A webhook reaches the dispatcher a moment after its creation was answered.
			attempt := v.want(t, v.api, 200, "POST "+one+"/test", sent{ref: of.ref, webhook: id})
			if attempt.Body["statusCode"] != 204.0 {
				return fmt.Errorf("the attempt: %s", attempt.Raw)
			}
			return nil
		})
		v.ask(t, "webhooks.test", map[string]any{"ref": of.ref, "webhookId": id})
		v.want(t, v.api, 204, "DELETE "+one, sent{ref: of.ref, webhook: id})
		v.ask(t, "webhooks.delete", map[string]any{"ref": of.ref, "webhookId": overNATS["id"]})
	}
}

func (v *tour) deliveries(t *testing.T) {
	const ref, list, redeliver, replay = "owing", "GET /v1/webhooks/{webhookId}/deliveries", "POST /v1/deliveries/{id}/redeliver", "POST /v1/webhooks/{webhookId}/replay"
	receiver := e2e.NewReceiver(t)
	hook := create(t, v.d, ref, receiver)["webhooks"].([]any)[0].(map[string]any)["id"].(string)
	// delivered returns the id of a delivery of the kind, once it has arrived.
	delivered := func(kind string) (id string) {
		bustest.CheckFor(t, patience, func() error {
			page := v.want(t, v.api, 200, list, sent{webhook: hook, query: "state=delivered&pageSize=500"})
			for _, d := range page.Body["deliveries"].([]any) {
				if d := d.(map[string]any); d["kind"] == kind {
					id = d["id"].(string)
					return nil
				}
			}
			return fmt.Errorf("no %s was delivered: %s", kind, page.Raw)
		})
		return id
	}
	created := delivered("created")
	v.sameObject(t, v.want(t, v.api, 200, list, sent{webhook: hook, query: "pageSize=1"}).Body, v.ask(t, "webhooks.deliveries", map[string]any{"webhookId": hook, "pageSize": 1}))

	v.want(t, v.api, 202, redeliver, sent{delivery: created})
	delivered("created")
	bustest.CheckFor(t, patience, func() error {
		// It is refused as long as it is owed.
		if reply, code := v.request(t, "webhooks.redeliver", map[string]any{"deliveryId": created}); code != "" {
			return fmt.Errorf("%v", reply)
		}
		return nil
	})
	v.want(t, v.api, 202, replay, sent{webhook: hook, body: map[string]any{"since": "2026-01-02T15:04:05Z", "events": []any{"created"}}})
	v.ask(t, "webhooks.replay", map[string]any{"webhookId": hook, "since": "2026-01-02T15:04:05Z"})

	if err := v.d.Lab.SetFaults(t.Context(), labapi.Faults{CodeLifeSeconds: 0.5}); err != nil {
		t.Fatal(err)
	}
	v.want(t, v.api, 200, "POST /v1/instances/{ref}/connect", sent{ref: ref, query: "wait=30"})
	picture := delivered("qr")
	bustest.CheckFor(t, patience, func() error {
		if r := v.call(t, v.api, redeliver, sent{delivery: picture}); r.Status != http.StatusGone {
			return fmt.Errorf("the picture is not over: %s", r.Raw)
		}
		return nil
	})
	v.same(t, v.want(t, v.api, 410, redeliver, sent{delivery: picture}), "webhooks.redeliver", map[string]any{"deliveryId": picture})
	v.want(t, v.api, 200, "POST /v1/instances/{ref}/logout", sent{ref: ref, query: "wait=60"})
	if err := v.d.Lab.ClearFaults(t.Context()); err != nil {
		t.Fatal(err)
	}

	v.want(t, v.api, 200, "PATCH /v1/instances/{ref}/webhooks/{webhookId}", sent{ref: ref, webhook: hook, body: map[string]any{"enabled": false}})
	v.same(t, v.want(t, v.api, 409, redeliver, sent{delivery: created}), "webhooks.redeliver", map[string]any{"deliveryId": created})
	since := map[string]any{"since": "2026-01-02T15:04:05Z"}
	v.same(t, v.want(t, v.api, 409, replay, sent{webhook: hook, body: since}), "webhooks.replay", map[string]any{"webhookId": hook, "since": since["since"]})
}

// events reads from the begin of the stream to the position that is told behind
// the events that are kept, and checks each.
func (v *tour) events(t *testing.T) {
	base := v.d.Processes["pairgate"].AwaitLine("serving")["http"].(string)
	for _, name := range []string{"GET /v1/events", "GET /v1/instances/{ref}/events"} {
		o, s := v.operation(t, name), sent{ref: "shop"}
		request, err := http.NewRequestWithContext(t.Context(), o.method, base+s.path(o.path), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+v.key)
		request.Header.Set("Last-Event-ID", "1")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		v.check(t, o, s, e2e.Reply{Status: response.StatusCode, Header: response.Header})
		kinds := map[string]bool{}
		kind, wanted := "", []string{"created", "status"}
		for scanner := bufio.NewScanner(response.Body); scanner.Scan() && len(wanted) > 0; {
			field, value, _ := strings.Cut(scanner.Text(), ": ")
			switch field {
			case "event":
				kind = value
			case "data":
				var event map[string]any
				if err := json.Unmarshal([]byte(value), &event); err != nil {
					t.Fatal(err)
				}
				matches(t, "the event "+kind, v.doc.Components.Schemas["Event"], any(event))
				kinds[kind] = true
				if kinds["created"] && kinds["status"] {
					wanted = nil
				}
			}
		}
		if len(wanted) > 0 {
			t.Errorf("%s: the stream ended before %v", name, wanted)
		}
		response.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}

func (v *tour) operate(t *testing.T) {
	for _, name := range []string{"GET /healthz", "GET /readyz"} {
		v.want(t, v.api.With(""), 200, name, sent{})
	}
	for _, name := range []string{"GET /metrics", "GET /openapi.yaml", "GET /asyncapi.yaml"} {
		v.want(t, v.api, 200, name, sent{})
	}
}

// nowhere is the id of nothing.
var nowhere = uuid.Must(uuid.NewV7()).String()
