package bus_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "pairgate.dev/proto/pairgate/v1"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

// bad decodes a body that must be refused, and returns the problem.
func bad(t *testing.T, body string, m proto.Message, opts ...bus.DecodeOption) *instance.Problem {
	t.Helper()
	err := bus.DecodeStrict([]byte(body), m, opts...)
	p, ok := errors.AsType[*instance.Problem](err)
	if !ok {
		t.Fatalf("%s: got %v, want a problem", body, err)
	}
	return p
}

func lines(p *instance.Problem) []string {
	out := make([]string, len(p.Errors))
	for i, e := range p.Errors {
		out[i] = e.Field + ": " + e.Message
	}
	return out
}

func TestDecodeStrictNamesEveryBadFieldAtOnce(t *testing.T) {
	body := `{
		"name": 5, "provider": "whatsapp", "number": "x", "qr_timeout": 3, "qrTimeout": -1, "colour": "secret-value",
		"token": null,
		"webhooks": [{"url": false, "headers": {"a": 1}}, 7, {"url": "https://ok", "enabled": "yes", "events": ["a", 2, null]}],
		"settings": {"qr": {"size": 4294967296, "level": ["M"], "nope": 1}},
		"proxy": "host",
		"phone": "1", "phone": "2", "phone": "3"
	}`
	var m pb.CreateInstanceRequest
	p := bad(t, body, &m)
	want := []string{
		"name: must be a string, not a number",
		"number: must be a whole number in decimal digits",
		"qr_timeout: unknown field; did you mean qrTimeout?",
		"qrTimeout: must not be negative",
		"colour: unknown field",
		"webhooks[0].url: must be a string, not true or false",
		"webhooks[0].headers.a: must be a string, not a number",
		"webhooks[1]: must be an object, not a number",
		"webhooks[2].enabled: must be true or false, not a string",
		"webhooks[2].events[1]: must be a string, not a number",
		"webhooks[2].events[2]: must be a string, not null",
		"settings.qr.size: is too large",
		"settings.qr.level: must be a string, not a list",
		"settings.qr.nope: unknown field",
		"proxy: must be an object, not a string",
		"phone: stands there more than once",
	}
	if got := lines(p); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if p.Code != instance.CodeInvalidRequest {
		t.Errorf("code %s", p.Code)
	}
	for _, secret := range []string{"secret-value", "4294967296"} {
		if strings.Contains(p.Error(), secret) {
			t.Errorf("the text repeats %q", secret)
		}
	}
	// The good part is there, list elements at their places.
	if m.GetProvider() != "whatsapp" || len(m.GetWebhooks()) != 3 || m.GetWebhooks()[2].GetUrl() != "https://ok" ||
		m.GetName() != "" || m.GetPhone() != "" || m.GetProxy() != nil {
		t.Errorf("the good part: %v", &m)
	}
}

func TestDecodeStrictAccepts(t *testing.T) {
	for _, body := range []string{
		`{}`,
		" {\n} ",
		`{"name":"a","number":1101000001}`,
		`{"name":"a","number":"1101000001"}`,
		`{"number":"18446744073709551615"}`,
		`{"qrTimeout":120.0}`,
		`{"name":null,"webhooks":null,"settings":null}`,
		`{"webhooks":[],"settings":{},"proxy":{}}`,
		`{"name":"\ud83d\ude00 \u00e9 \\ud800 \" "}`,
		`{"n\u0061me":"x"}`,
	} {
		var got, want pb.CreateInstanceRequest
		if err := bus.DecodeStrict([]byte(body), &got); err != nil {
			t.Errorf("%s: %v", body, err)
		} else if err := protojson.Unmarshal([]byte(body), &want); err != nil || !proto.Equal(&got, &want) {
			t.Errorf("%s: got %v, want %v (%v)", body, &got, &want, err)
		}
	}
}

func TestDecodeStrictTypes(t *testing.T) {
	for _, c := range []struct {
		body string
		m    proto.Message
		want string
	}{
		{`{"qrTimeout":"120"}`, &pb.CreateInstanceRequest{}, "qrTimeout: must be a number, not a string"},
		{`{"qrTimeout":1.5}`, &pb.CreateInstanceRequest{}, "qrTimeout: must be a whole number in decimal digits"},
		{`{"qrTimeout":1e2}`, &pb.CreateInstanceRequest{}, "qrTimeout: must be a whole number in decimal digits"},
		{`{"number":-3}`, &pb.CreateInstanceRequest{}, "number: must not be negative"},
		{`{"number":18446744073709551616}`, &pb.CreateInstanceRequest{}, "number: is too large"},
		{`{"number":" 1"}`, &pb.CreateInstanceRequest{}, "number: must be a whole number in decimal digits"},
		{`{"number":""}`, &pb.CreateInstanceRequest{}, "number: must be a whole number in decimal digits"},
		{`{"number":true}`, &pb.CreateInstanceRequest{}, "number: must be a number, not true or false"},
		{`{"since":"yesterday"}`, &pb.ReplayRequest{}, "since: must be a time such as 2026-01-02T15:04:05Z"},
		{`{"since":5}`, &pb.ReplayRequest{}, "since: must be a time such as 2026-01-02T15:04:05Z, not a number"},
		{`{"image":"***"}`, &pb.RenderQrReply{}, "image: must be base64"},
		{`{"image":1}`, &pb.RenderQrReply{}, "image: must be a string of base64, not a number"},
		{`{"status":{},"code":{}}`, &pb.Event{}, "code: only one of status, code, qr, pairingCode, passkey, spec may be given"},
		{`[]`, &pb.CreateInstanceRequest{}, ": must be an object, not a list"},
		{`null`, &pb.CreateInstanceRequest{}, ": must be an object, not null"},
		{`{"Name":"x"}`, &pb.CreateInstanceRequest{}, "Name: unknown field; did you mean name?"},
		{`{"a.b[0]":1}`, &pb.CreateInstanceRequest{}, `["a.b[0]"]: unknown field`},
		{`{"\n":1}`, &pb.CreateInstanceRequest{}, `["\n"]: unknown field`},
		{`{"proxy":{"":1}}`, &pb.CreateInstanceRequest{}, `proxy[""]: unknown field`},
	} {
		if got := lines(bad(t, c.body, c.m)); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s: got %q, want %q", c.body, got, c.want)
		}
	}
}

func TestDecodeStrictBrokenJSONTellsTheByte(t *testing.T) {
	for body, want := range map[string]string{
		``:                       "The body is empty; send a JSON object.",
		"  \n":                   "The body is empty; send a JSON object.",
		`{"name": oops}`:         "The JSON is broken at byte 9: that character cannot stand there.",
		`{"name":"a"`:            "The JSON is broken at byte 11: it ends too early.",
		`{"name":"a"} x`:         "The JSON is broken at byte 13: that character cannot stand there.",
		`{"name":"a",}`:          "The JSON is broken at byte 12: that character cannot stand there.",
		"{\"name\":\"\xff\"}":    "The body is not UTF-8 text: the byte at offset 9 is no part of a character.",
		`{"name":"x\ud800"}`:     "The JSON is broken at byte 10: half of a surrogate pair.",
		`{"name":"\ud800\u0041`:  "The JSON is broken at byte 21: it ends too early.",
		`{"name":"\udc00\u0041"`: "The JSON is broken at byte 22: it ends too early.",
		`{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`: "The JSON nests deeper than 32 levels at byte 37.",
	} {
		p := bad(t, body, &pb.CreateInstanceRequest{})
		if p.Code != instance.CodeInvalidJSON || p.Detail != want {
			t.Errorf("%q: got %s %q, want %q", body, p.Code, p.Detail, want)
		}
	}
}

func TestDecodeStrictBoundsItsAnswer(t *testing.T) {
	var b strings.Builder
	b.WriteString("{")
	for i := range 5000 {
		fmt.Fprintf(&b, `"%s%d":1,`, strings.Repeat("k", 100), i)
	}
	b.WriteString(`"name":"x"}`)
	p := bad(t, b.String(), &pb.CreateInstanceRequest{})
	if len(p.Errors) != 257 || p.Errors[256].Message != "4744 more fields are wrong" {
		t.Errorf("%d errors, the last %q", len(p.Errors), p.Errors[len(p.Errors)-1].Message)
	}
}

func TestDecodeStrictWithoutFields(t *testing.T) {
	p := bad(t, `{"ref":"a","proxy":{"host":"h"},"Ref":1}`, &pb.UpdateInstanceRequest{}, bus.WithoutFields("ref"))
	if got := lines(p); !slices.Equal(got, []string{"ref: unknown field", "Ref: unknown field"}) {
		t.Errorf("got %q", got)
	}
}

func TestDecodeAndValidateMerges(t *testing.T) {
	validate := func(m *pb.CreateInstanceRequest) (f instance.FieldErrors) {
		if m.GetName() == "" {
			f.Add("name", "is missing")
		}
		if m.GetProvider() == "" {
			f.Add("provider", "is missing")
		}
		for i, w := range m.GetWebhooks() {
			if w.GetUrl() == "" {
				f.Add(fmt.Sprintf("webhooks[%d].url", i), "is missing")
			}
		}
		if m.GetSettings().GetQr().GetLevel() == "" {
			f.Add("settings.qr.level", "is missing")
		}
		return f
	}
	err := bus.DecodeAndValidate([]byte(`{"name":7,"webhooks":[1,{},{"url":2}],"settings":[],"qr":1}`), &pb.CreateInstanceRequest{}, validate)
	p, _ := errors.AsType[*instance.Problem](err)
	want := []string{
		"name: must be a string, not a number",
		"webhooks[0]: must be an object, not a number",
		"webhooks[2].url: must be a string, not a number",
		"settings: must be an object, not a list",
		"qr: unknown field",
		"provider: is missing",
		"webhooks[1].url: is missing",
	}
	if got := lines(p); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if err := bus.DecodeAndValidate([]byte(`{`), &pb.CreateInstanceRequest{}, validate); instance.AsProblem(err).Code != instance.CodeInvalidJSON {
		t.Errorf("broken JSON: %v", err)
	}
	if err := bus.DecodeAndValidate([]byte(`{"name":"a"}`), &pb.CreateInstanceRequest{}, nil); err != nil {
		t.Errorf("nil validate: %v", err)
	}
}

func TestEncodeJSONShowsDefaultsAndCamelCase(t *testing.T) {
	b, err := bus.EncodeJSON(&pb.Instance{Id: "x", Number: 1101})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"qrTimeout"`, `"number"`, `"1101"`, `"phone"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s lacks %s", b, want)
		}
	}
}

func TestDecodeJSONIgnoresWhatIsNewAndHidesTheBody(t *testing.T) {
	var m pb.Instance
	if err := bus.DecodeJSON([]byte(`{"id":"a","fromTheFuture":{"x":1}}`), &m); err != nil || m.GetId() != "a" {
		t.Errorf("%v, %v", &m, err)
	}
	if err := bus.DecodeJSON([]byte(`{"id":1234567}`), &m); err == nil || strings.Contains(err.Error(), "1234567") {
		t.Errorf("got %v", err)
	}
}

// FuzzDecodeStrict checks that nothing panics, that whatever is accepted means
// the same to the protobuf library, and that an error is always a problem.
func FuzzDecodeStrict(f *testing.F) {
	for _, s := range []string{`{}`, `{"name":"a","number":"12","webhooks":[{"headers":{"a":"b"}}]}`, `{"name":"\ud800"}`, `{"qrTimeout":1.0}`,
		`{"webhooks":[1,{"url":2}]}`, `{"a":{"a":[{}]}}`, `{"name":"x","name":"y"}`, "{\"name\":\"\xff\"}", `{"number":"-0"}`, `[`, ``,
		`{"settings":{"qr":{"size":12}}}`, `{"time":"2026-01-01T00:00:00Z","qr":{"image":"AA-_"},"id":"x","epoch":"5"}`,
		`{"since":"0001-01-01T00:00:00Z","until":null,"events":["a"]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, typ := range []proto.Message{&pb.CreateInstanceRequest{}, &pb.Event{}, &pb.ReplayRequest{}, &pb.UpdateWebhookRequest{}} {
			got := proto.Clone(typ)
			fields, err := bus.DecodeStrictFields(body, got)
			if err != nil {
				if p, ok := errors.AsType[*instance.Problem](err); !ok || p.Code != instance.CodeInvalidJSON {
					t.Fatalf("%T: %v", typ, err)
				}
				continue
			}
			want := proto.Clone(typ)
			if len(fields) == 0 {
				if err := protojson.Unmarshal(body, want); err != nil || !proto.Equal(got, want) {
					t.Fatalf("%T: accepted, but protojson says %v", typ, err)
				}
			}
		}
	})
}
