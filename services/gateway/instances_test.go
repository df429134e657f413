package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

func TestCreateShowChangeAndDelete(t *testing.T) {
	w := start(t)
	created := w.send(http.MethodPost, "/v1/instances", adminKey, `{"name":"shop","provider":"simulated","webhooks":[{"url":"https://example.com/"}]}`,
		http.Header{"Idempotency-Key": {"key-1"}}).want(http.StatusCreated)
	body := created.json()
	id := body["instance"].(map[string]any)["id"].(string)
	if created.header.Get("Location") != "/v1/instances/"+id || body["token"] == "" || len(body["webhooks"].([]any)) != 1 {
		t.Errorf("%v %s", created.header, created.body)
	}
	if req := w.registry.lastOf(bus.SubjectInstancesCreate).(*pb.CreateInstanceRequest); req.GetIdempotencyKey() != "key-1" {
		t.Error("the Idempotency-Key did not arrive")
	}
	number := body["instance"].(map[string]any)["number"].(string)
	for _, ref := range []string{id, strings.ToUpper(id), number, "shop"} {
		got := w.admin(http.MethodGet, "/v1/instances/"+ref, "").want(http.StatusOK).json()
		if got["id"] != id || got["status"].(map[string]any)["phase"] != "idle" {
			t.Errorf("by %s: %v", ref, got)
		}
	}
	if n := w.registry.count(bus.SubjectInstancesGet); n != 0 {
		t.Errorf("the registry was asked %d times for what the gateway follows", n)
	}
	got := w.admin(http.MethodPatch, "/v1/instances/shop", `{"name":"market"}`).want(http.StatusOK).json()
	if got["name"] != "market" {
		t.Errorf("%v", got)
	}
	w.admin(http.MethodGet, "/v1/instances/market", "").want(http.StatusOK)
	w.admin(http.MethodGet, "/v1/instances/shop", "").wantCode(404, instance.CodeInstanceNotFound)
	w.admin(http.MethodDelete, "/v1/instances/market", "").want(http.StatusNoContent)
	w.admin(http.MethodGet, "/v1/instances/"+id, "").wantCode(404, instance.CodeInstanceNotFound)
	w.admin(http.MethodDelete, "/v1/instances/"+id, "").want(http.StatusNoContent)
	w.admin(http.MethodDelete, "/v1/instances/nothing", "").wantCode(404, instance.CodeInstanceNotFound)
}

func TestListIsCutIntoPagesAndFiltered(t *testing.T) {
	w := start(t)
	for _, name := range []string{"a-1", "b-1", "a-2", "a-3"} {
		w.make(name)
	}
	names := func(query string) (names []string, next string) {
		page := w.admin(http.MethodGet, "/v1/instances?"+query, "").want(http.StatusOK).json()
		for _, i := range page["instances"].([]any) {
			names = append(names, i.(map[string]any)["name"].(string))
		}
		return names, page["nextPageToken"].(string)
	}
	first, next := names("name=A-&pageSize=2&phase=idle&provider=simulated")
	second, end := names("name=A-&pageSize=2&pageToken=" + next)
	if !slices.Equal(first, []string{"a-1", "a-2"}) || !slices.Equal(second, []string{"a-3"}) || end != "" {
		t.Errorf("%v %v %q", first, second, end)
	}
	if none, _ := names("phase=online"); len(none) != 0 {
		t.Errorf("%v", none)
	}
	_, fields := w.admin(http.MethodGet, "/v1/instances?phase=happy&provider=smoke&pageSize=many&pageToken=x", "").want(http.StatusBadRequest).problem()
	slices.Sort(fields)
	if !slices.Equal(fields, []string{"pageSize", "pageToken", "phase", "provider"}) {
		t.Errorf("%v", fields)
	}
}

// TestBadInputNamesEveryBadFieldAtOnce is the promise of the contract for what
// decoding finds in the gateway and what the registry finds.
func TestBadInputNamesEveryBadFieldAtOnce(t *testing.T) {
	w := start(t)
	m := w.make("one")
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		code                     instance.Code
		fields                   []string
	}{
		{"empty body", "POST", "/v1/instances", "", 400, instance.CodeInvalidRequest, []string{"name", "provider"}},
		{"broken", "POST", "/v1/instances", `{"name":`, 400, instance.CodeInvalidJSON, nil},
		{"not an object", "POST", "/v1/instances", `[]`, 400, instance.CodeInvalidRequest, []string{""}},
		{"trailing text", "POST", "/v1/instances", `{} {}`, 400, instance.CodeInvalidJSON, nil},
		{"types and values", "POST", "/v1/instances", `{"name":7,"provider":"smoke","webhooks":[{"url":"ftp://x"},{"url":3}],"colour":"red"}`, 400,
			instance.CodeInvalidRequest, []string{"colour", "name", "provider", "webhooks[0].url", "webhooks[1].url"}},
		{"values alone", "POST", "/v1/instances", `{"provider":"smoke"}`, 400, instance.CodeInvalidRequest, []string{"name", "provider"}},
		{"hidden fields alone", "POST", "/v1/instances", `{"name":"n","provider":"simulated","idempotencyKey":"k","label":"l"}`, 400,
			instance.CodeInvalidRequest, []string{"idempotencyKey", "label"}},
		{"ref in the body", "PATCH", m.path, `{"ref":"other","name":""}`, 400, instance.CodeInvalidRequest, []string{"name", "ref"}},
		{"snake case", "PATCH", m.path, `{"qr_timeout":20}`, 400, instance.CodeInvalidRequest, []string{"qr_timeout"}},
		{"connect", "POST", m.path + "/connect?wait=61", `{"method":"smoke","phone":"x","window":3}`, 400, instance.CodeInvalidRequest,
			[]string{"method", "phone", "wait", "window"}},
		{"restart takes no fields", "POST", m.path + "/restart", `{"now":true}`, 400, instance.CodeInvalidRequest, []string{"now"}},
		{"password of a wrong type", "POST", m.path + "/password", `{"password":1}`, 400, instance.CodeInvalidRequest, []string{"password"}},
		{"password empty", "POST", m.path + "/password", `{}`, 400, instance.CodeInvalidRequest, []string{"password"}},
		{"password without body", "POST", m.path + "/password", ``, 400, instance.CodeInvalidRequest, []string{"password"}},
		{"webhook", "POST", m.path + "/webhooks", `{"url":"http://x","events":["smoke"],"id":1}`, 400, instance.CodeInvalidRequest, []string{"events[0]", "id", "url"}},
		{"webhook values alone", "POST", "/v1/webhooks", `{"url":"x"}`, 400, instance.CodeInvalidRequest, []string{"url"}},
		{"webhook change", "PATCH", "/v1/webhooks/w1", `{"events":["smoke"],"headers":{"Host":"x"},"enabled":1}`, 400, instance.CodeInvalidRequest,
			[]string{"enabled", "events[0]", "headers.Host"}},
		{"webhook change as on NATS", "PATCH", "/v1/webhooks/w1", `{"events":{"kinds":[]},"expectedRevision":3}`, 400, instance.CodeInvalidRequest,
			[]string{"events", "expectedRevision"}},
		{"10 MB", "POST", "/v1/instances", `{"name":"` + strings.Repeat("x", 10<<20) + `"}`, 413, instance.CodeBodyTooLarge, nil},
		{"query of a picture", "GET", m.path + "/qr.png?size=9&level=Z&margin=x&foreground=ffffff&wait=-1", "", 400, instance.CodeInvalidRequest,
			[]string{"foreground", "level", "margin", "size", "wait"}},
		{"query that is none", "GET", m.path + "/qr?%zz", "", 400, instance.CodeInvalidRequest, []string{""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := w.admin(tt.method, tt.path, tt.body).want(tt.status)
			code, fields := got.problem()
			slices.Sort(fields)
			if code != string(tt.code) || !slices.Equal(fields, tt.fields) {
				t.Errorf("%s %q, want %s %q", code, fields, tt.code, tt.fields)
			}
		})
	}
	if w.registry.count(bus.SubjectInstancesCreate) != 1 || w.registry.count(bus.SubjectInstancesConnect)+w.registry.count(bus.SubjectInstancesUpdate) != 0 {
		t.Error("a bad request was carried out")
	}
}

func TestContentTypeOtherThanJSONIsRefused(t *testing.T) {
	w := start(t)
	send := func(contentType string) answer {
		return w.send(http.MethodPost, "/v1/instances", adminKey, `{"name":"`+contentTypeName(contentType)+`","provider":"simulated"}`,
			http.Header{"Content-Type": {contentType}})
	}
	for _, refused := range []string{"application/x-www-form-urlencoded", "text/plain", "application/jsonx", ";"} {
		got := send(refused).wantCode(http.StatusBadRequest, instance.CodeInvalidRequest)
		if !strings.Contains(string(got.body), "Content-Type") {
			t.Errorf("%s: %s", refused, got.body)
		}
	}
	for _, taken := range []string{"application/json; charset=utf-8", "application/vnd.x+json", ""} {
		send(taken).want(http.StatusCreated)
	}
}

func contentTypeName(t string) string {
	return "n" + strings.NewReplacer("/", "-", ";", "", " ", "", "=", "").Replace(t)
}

func TestIdempotencyKeyOfTheHeaderIsChecked(t *testing.T) {
	w := start(t)
	got := w.send(http.MethodPost, "/v1/instances", adminKey, `{"provider":"smoke"}`, http.Header{"Idempotency-Key": {strings.Repeat("k", 300)}}).want(http.StatusBadRequest)
	_, fields := got.problem()
	slices.Sort(fields)
	if !slices.Equal(fields, []string{"Idempotency-Key", "name", "provider"}) {
		t.Errorf("%v", fields)
	}
}

func TestWhatTheRegistryRefusesIsToldAsItIs(t *testing.T) {
	w := start(t)
	m := w.make("taken")
	w.admin(http.MethodPost, "/v1/instances", `{"name":"taken","provider":"simulated"}`).wantCode(409, instance.CodeNameTaken)
	got := w.admin(http.MethodPost, m.path+"/passkey/confirm", "").wantCode(503, instance.CodeNoOwner)
	if got.header.Get("Retry-After") != "2" {
		t.Errorf("%v", got.header)
	}
	w.registry.stop()
	w.admin(http.MethodPost, "/v1/instances", `{"name":"new","provider":"simulated"}`).wantCode(503, instance.CodeUnavailable)
	w.admin(http.MethodPost, "/v1/instances", `{"name":7,"provider":"simulated"}`).wantCode(400, instance.CodeInvalidRequest)
	w.admin(http.MethodGet, m.path, "").want(http.StatusOK)
	w.admin(http.MethodGet, "/v1/instances/unknown", "").wantCode(503, instance.CodeUnavailable)
}

func TestAMissIsConfirmedOnceAndRememberedForAMoment(t *testing.T) {
	w := start(t)
	for range 3 {
		w.admin(http.MethodGet, "/v1/instances/nobody/status", "").wantCode(404, instance.CodeInstanceNotFound)
	}
	// More than one only when this machine took longer than the memory lasts.
	if n := w.registry.count(bus.SubjectInstancesGet); n < 1 || n > 3 {
		t.Errorf("asked %d times", n)
	}
	w.make("nobody")
	w.admin(http.MethodGet, "/v1/instances/nobody/status", "").want(http.StatusOK)
}

func TestWebhooks(t *testing.T) {
	w := start(t)
	m := w.make("one")
	for _, base := range []string{m.path + "/webhooks", "/v1/webhooks"} {
		made := w.admin(http.MethodPost, base, `{"url":"https://example.com/","events":["status"]}`).want(http.StatusCreated)
		id := made.json()["id"].(string)
		if made.json()["secret"] != "whsec_made" || made.header.Get("Location") != base+"/"+id {
			t.Errorf("%v %s", made.header, made.body)
		}
		if got := w.admin(http.MethodGet, base, "").want(http.StatusOK).json()["webhooks"].([]any); len(got) != 1 {
			t.Errorf("%v", got)
		}
		if got := w.admin(http.MethodGet, base+"/"+id, "").want(http.StatusOK).json(); got["secret"] != "" {
			t.Errorf("%v", got)
		}
		w.admin(http.MethodPatch, base+"/"+id, `{"events":[],"enabled":false,"url":null}`).want(http.StatusOK)
		change := w.registry.lastOf(bus.SubjectWebhooksUpdate).(*pb.UpdateWebhookRequest)
		if change.Url != nil || change.GetEvents() == nil || change.GetHeaders() != nil || change.Enabled == nil || change.GetWebhookId() != id {
			t.Errorf("%v", change)
		}
		w.admin(http.MethodDelete, base+"/"+id, "").want(http.StatusNoContent)
		w.admin(http.MethodGet, base+"/"+id, "").wantCode(404, instance.CodeWebhookNotFound)
		w.admin(http.MethodPost, base+"/"+id+"/test", "").wantCode(503, instance.CodeUnavailable)
	}
}
