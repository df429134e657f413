package standalone_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/seal"
	gateway "pairgate.dev/services/gateway"
	"pairgate.dev/services/standalone/internal/e2e"
)

// answers are good bodies of routes whose body is not free to be empty, by the end of the path.
var answers = map[string]map[string]any{
	"password":         {"password": "sesame"},
	"passkey/response": {"response": "{}"},
	"passkey/confirm":  {},
	"webhooks":         {"url": "https://example.com/hook"},
	"replay":           {"since": "2026-01-02T15:04:05Z"},
}

// refusals tries what every operation refuses alike.
func (v *tour) refusals(t *testing.T) {
	type refusal struct {
		status int
		api    *e2e.API
		s      sent
	}
	for _, o := range v.operations() {
		good := sent{ref: "other", webhook: nowhere, delivery: nowhere}
		tries := []refusal{{401, v.api.With(""), good}, {401, v.api.With("an-unknown-token-of-nobody"), good}}
		if !o.keyed() {
			continue
		}
		if o.has(403) {
			s := good
			s.ref = "shop" // another's
			tries = append(tries, refusal{403, v.api.With(v.token), s})
		}
		if strings.Contains(o.path, "{ref}") {
			s := good
			s.ref, s.body = "nobody", o.goodBody()
			tries = append(tries, refusal{404, v.api, s})
		}
		if strings.Contains(o.path, "{webhookId}") || strings.Contains(o.path, "{id}") {
			s := good
			s.body = o.goodBody()
			tries = append(tries, refusal{404, v.api, s})
		}
		if o.takesBody() {
			s := good
			s.body = map[string]any{"nonsense": 1}
			tries = append(tries, refusal{400, v.api, s})
			s.body = json.RawMessage(bytes.Join([][]byte{[]byte(`"`), bytes.Repeat([]byte("x"), 1<<20), []byte(`"`)}, nil))
			tries = append(tries, refusal{413, v.api, s})
		} else if o.has(400) {
			s := good
			s.query = "wait=soon&pageSize=many"
			tries = append(tries, refusal{400, v.api, s})
		}
		for _, r := range tries {
			v.want(t, r.api, r.status, o.name(), r.s)
		}
	}
}

// goodBody is one that is refused for nothing in it; nil for none.
func (o operation) goodBody() any {
	for end, body := range answers {
		if strings.HasSuffix(o.path, "/"+end) && o.takesBody() {
			return body
		}
	}
	if o.takesBody() {
		return map[string]any{}
	}
	return nil
}

// refusalsOverNATS compares what is refused with what the same request over NATS is told.
func (v *tour) refusalsOverNATS(t *testing.T) {
	for _, o := range v.operations() {
		subject, found := strings.CutPrefix(o.subject(), "pairgate.v1.")
		if !found {
			continue
		}
		body, _ := o.goodBody().(map[string]any)
		if o.has(404) {
			over := v.want(t, v.api, 404, o.name(), sent{ref: "nobody", webhook: nowhere, delivery: nowhere, body: o.goodBody()})
			v.same(t, over, subject, o.overNATS("nobody", body))
		}
		if o.takesBody() {
			nonsense := map[string]any{"nonsense": 1}
			over := v.want(t, v.api, 400, o.name(), sent{ref: "other", webhook: nowhere, delivery: nowhere, body: nonsense})
			v.same(t, over, subject, o.overNATS("other", nonsense))
		}
	}
}

// overNATS is a request with what stands in the route beside the body.
func (o operation) overNATS(ref string, body map[string]any) map[string]any {
	if o.subject() == "pairgate.v1.webhooks.create" {
		body = map[string]any{"webhook": body}
	}
	request := maps.Clone(body)
	if request == nil {
		request = map[string]any{}
	}
	for part, field := range map[string][2]any{"{ref}": {"ref", ref}, "{webhookId}": {"webhookId", nowhere}, "{id}": {"deliveryId", nowhere}, "/confirm": {"confirm", true}} {
		if strings.Contains(o.path, part) {
			request[field[0].(string)] = field[1]
		}
	}
	return request
}

// ask sends a NATS request, checks that it and the reply are as described, and
// returns the reply.
func (v *tour) ask(t *testing.T, subject string, request map[string]any) map[string]any {
	t.Helper()
	reply, code := v.request(t, subject, request)
	if code != "" {
		t.Fatalf("%s: %s %v", subject, code, reply)
	}
	asked, answered := v.messages(t, subject)
	matches(t, "the request on "+subject, v.nats[asked], normal(t, request))
	matches(t, "the reply on "+subject, v.nats[answered], any(reply))
	return reply
}

func (v *tour) request(t *testing.T, subject string, request map[string]any) (reply map[string]any, code string) {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	m, err := v.d.NATS.Request("pairgate.v1."+subject, body, patience)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	if err := json.Unmarshal(m.Data, &reply); err != nil {
		t.Fatalf("%s: %v: %s", subject, err, m.Data)
	}
	return reply, m.Header.Get("Nats-Service-Error-Code")
}

// same sends a NATS request, and checks that it is refused as it was over HTTP.
func (v *tour) same(t *testing.T, overHTTP e2e.Reply, subject string, request map[string]any) {
	t.Helper()
	reply, code := v.request(t, subject, request)
	matches(t, "the problem on "+subject, v.doc.Components.Schemas["Problem"], any(reply))
	if code != fmt.Sprint(overHTTP.Status) {
		t.Errorf("%s: %q %v, over HTTP %d", subject, code, reply, overHTTP.Status)
	}
	if bad, _ := reply["errors"].([]any); subject == "webhooks.create" {
		for _, b := range bad { // over HTTP the webhook is the body itself
			f := b.(map[string]any)
			f["field"] = strings.TrimPrefix(f["field"].(string), "webhook.")
		}
	}
	if !reflect.DeepEqual(any(overHTTP.Body), any(reply)) {
		t.Errorf("%s is told %v, over HTTP %v", subject, reply, overHTTP.Body)
	}
}

// sameObject compares what both faces show of one thing.
func (v *tour) sameObject(t *testing.T, overHTTP map[string]any, other any) {
	t.Helper()
	if !reflect.DeepEqual(any(overHTTP), other) {
		t.Errorf("over HTTP it is %v, otherwise %v", overHTTP, other)
	}
}

// normal is a value as it is after a journey as JSON.
func normal(t *testing.T, value any) (out any) {
	t.Helper()
	body, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(body, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// away tries a gateway that no registry answers, and one that has had enough.
func (v *tour) away(t *testing.T) {
	server := bustest.Server(t)
	bustest.Conn(t, server) // makes the streams
	lonely := func(limit int) *e2e.API {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		conn := bustest.Conn(t, server)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			ended <- gateway.Run(ctx, gateway.Config{AdminKey: seal.Secret(v.key), RateLimit: limit}, gateway.Deps{Bus: conn, Log: zap.NewNop(), Listener: listener})
		}()
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		return e2e.NewAPI(t, "http://"+listener.Addr().String(), "an-unknown-token-of-nobody")
	}
	alone, busy := lonely(0), lonely(1)
	v.want(t, alone, 503, "GET /readyz", sent{})
	for _, o := range v.operations() {
		s := sent{ref: "nobody", webhook: nowhere, delivery: nowhere}
		if o.keyed() && o.has(503) {
			v.want(t, alone, 503, o.name(), s)
		}
		if o.has(429) {
			refused := false
			for range 20 {
				if refused = v.call(t, busy, o.name(), s).Status == 429; refused {
					break
				}
			}
			if !refused {
				t.Errorf("%s: never too many", o.name())
			}
		}
	}
}
