package standalone_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pairgate.dev/services/standalone/internal/e2e"
)

// TestBadInput sends what people get wrong, over HTTP and, where NATS has the
// same operation, over NATS, and wants the same clear problem from both.
func TestBadInput(t *testing.T) {
	d := e2e.One(t, &binaries)
	create(t, d, "taken", nil)
	other := create(t, d, "other", nil)["token"].(string)
	everything := map[string]any{"name": "a/b", "provider": "telegram", "number": 12, "qrTimeout": 5, "phone": "not a phone", "token": "short",
		"webhooks": []any{map[string]any{"url": "ftp://example.com", "secret": "x", "events": []any{"nothing"}, "format": "xml"}},
		"settings": map[string]any{"qr": map[string]any{"level": "Z", "size": 7, "foreground": "red"}}}

	for _, c := range []struct {
		name    string
		subject string // of the same operation on NATS; empty for none
		method  string
		path    string
		body    any
		// nats is the body on NATS, where it is another.
		nats   any
		key    string
		status int
		code   string
		fields []string
	}{
		{name: "an empty body", subject: "instances.create", method: "POST", path: "/v1/instances", body: []byte(""), status: 400, code: "invalid_request", fields: []string{"name", "provider"}},
		{name: "broken JSON", subject: "instances.create", method: "POST", path: "/v1/instances", body: []byte(`{"name":`), status: 400, code: "invalid_json"},
		{name: "an array", subject: "instances.create", method: "POST", path: "/v1/instances", body: []byte(`[]`), status: 400},
		{name: "a wrong type", subject: "instances.create", method: "POST", path: "/v1/instances", body: map[string]any{"name": 7, "provider": "simulated"}, status: 400, code: "invalid_request", fields: []string{"name"}},
		{name: "an unknown field", subject: "instances.create", method: "POST", path: "/v1/instances", body: map[string]any{"name": "x", "provider": "simulated", "colour": "red"}, status: 400, code: "invalid_request", fields: []string{"colour"}},
		{name: "every field wrong at once", subject: "instances.create", method: "POST", path: "/v1/instances", body: everything, status: 400, code: "invalid_request",
			fields: []string{"name", "number", "phone", "provider", "qrTimeout", "settings.qr.foreground", "settings.qr.level", "settings.qr.size", "token",
				"webhooks[0].events[0]", "webhooks[0].format", "webhooks[0].secret", "webhooks[0].url"}},
		{name: "wrong types and wrong values together", subject: "instances.create", method: "POST", path: "/v1/instances",
			body: map[string]any{"name": []any{}, "provider": "telegram", "qrTimeout": "soon"}, status: 400, code: "invalid_request", fields: []string{"name", "provider", "qrTimeout"}},
		{name: "a name with a slash", subject: "instances.create", method: "POST", path: "/v1/instances", body: map[string]any{"name": "a/b", "provider": "simulated"}, status: 400, code: "invalid_request", fields: []string{"name"}},
		{name: "a provider that is not offered", subject: "instances.create", method: "POST", path: "/v1/instances", body: map[string]any{"name": "wa", "provider": "max"}, status: 400, code: "invalid_request", fields: []string{"provider"}},
		{name: "a taken name", subject: "instances.create", method: "POST", path: "/v1/instances", body: map[string]any{"name": "taken", "provider": "simulated"}, status: 409, code: "name_taken"},
		{name: "an unknown ref", subject: "instances.get", method: "GET", path: "/v1/instances/nobody", nats: map[string]any{"ref": "nobody"}, status: 404, code: "instance_not_found"},
		{name: "an unknown method of linking", subject: "instances.connect", method: "POST", path: "/v1/instances/taken/connect", body: map[string]any{"method": "magic"}, nats: map[string]any{"ref": "taken", "method": "magic"}, status: 400, code: "invalid_request", fields: []string{"method"}},
		{name: "a body of 10 MB", method: "POST", path: "/v1/instances", body: bytes.Repeat([]byte(" "), 10<<20), status: 413, code: "body_too_large"},
		{name: "someone else's token", method: "GET", path: "/v1/instances/taken", key: other, status: 403, code: "forbidden"},
		{name: "no token", method: "GET", path: "/v1/instances/taken", key: "-", status: 401, code: "unauthorized"},
		{name: "a wrong token", method: "GET", path: "/v1/instances/taken", key: "wrong", status: 401, code: "unauthorized"},
		{name: "an unknown route", method: "GET", path: "/v1/nothing", status: 404, code: "not_found"},
		{name: "a wrong method", method: "PUT", path: "/v1/instances", status: 405, code: "method_not_allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			api := d.API
			if c.key != "" {
				api = d.API.With(map[bool]string{true: "", false: c.key}[c.key == "-"])
			}
			r := api.Want(c.status, c.method, c.path, c.body)
			if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("Content-Type %q", got)
			}
			overHTTP := problem(t, r.Raw)
			if c.code != "" && overHTTP.Code != c.code || overHTTP.Detail == "" || overHTTP.Status != c.status {
				t.Errorf("problem %s", r.Raw)
			}
			if c.fields != nil && !slices.Equal(overHTTP.fields(), c.fields) {
				t.Errorf("bad fields %q, want %q", overHTTP.fields(), c.fields)
			}
			if c.subject == "" {
				return
			}
			body := c.body
			if c.nats != nil {
				body = c.nats
			}
			overNATS, code := request(t, d, "pairgate.v1."+c.subject, body)
			if code != fmt.Sprint(c.status) {
				t.Errorf("over NATS the error code is %q, want %d", code, c.status)
			}
			if overNATS.Code != overHTTP.Code || overNATS.Detail != overHTTP.Detail || !maps.Equal(overNATS.messages(), overHTTP.messages()) {
				t.Errorf("over NATS %+v, over HTTP %+v", overNATS, overHTTP)
			}
		})
	}
}

type problemBody struct {
	Code, Detail string
	Status       int
	Errors       []struct{ Field, Message string }
}

func (p problemBody) messages() map[string]string {
	m := map[string]string{}
	for _, e := range p.Errors {
		m[e.Field] = e.Message
	}
	return m
}

func (p problemBody) fields() []string { return slices.Sorted(maps.Keys(p.messages())) }

func problem(t *testing.T, raw []byte) (p problemBody) {
	t.Helper()
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return p
}

// request sends a NATS request and returns the problem and the error code of the answer.
func request(t *testing.T, d *e2e.Deployment, subject string, body any) (problemBody, string) {
	t.Helper()
	raw, ok := body.([]byte)
	if !ok {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := d.NATS.Request(subject, raw, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return problem(t, answer.Data), answer.Header.Get("Nats-Service-Error-Code")
}
