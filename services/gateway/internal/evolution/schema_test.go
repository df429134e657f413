package evolution

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func parse(t testing.TB, text string) map[string]any {
	t.Helper()
	b, err := fromJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return b.value
}

// The texts are those of jsonschema 1.5.0 with the product's schemas.
func TestValidatorSpeaksAsTheProductDoes(t *testing.T) {
	for _, tt := range []struct {
		schema *schema
		body   string
		want   []string
	}{
		{createSchema, `{"instanceName":"x"}`, nil},
		{createSchema, `{}`, nil},
		{createSchema, `{"instanceName":""}`, []string{`The "instanceName" cannot be empty`}},
		{createSchema, `{"instanceName":"","qrcode":true}`, nil},
		{createSchema, `{"number":"5"}`, []string{`number does not match pattern "^\\d+[\\.@\\w-]+"`}},
		{createSchema, `{"number":"5511999999999@s.whatsapp.net"}`, nil},
		{createSchema, `{"chatwootDaysLimitImportMessages":"3"}`, []string{`chatwootDaysLimitImportMessages is not of a type(s) number`}},
		{createSchema, `{"chatwootDaysLimitImportMessages":3}`, nil},
		{createSchema, `{"natsEvents":"CALL"}`, []string{`natsEvents is not of a type(s) array`}},
		{presenceSchema, `{"presence":5}`, []string{`presence is not of a type(s) string`, `presence is not one of enum values: unavailable,available,composing,recording,paused`}},
		{webhookSchema, `{"webhook":[]}`, []string{`webhook is not of a type(s) object`}},
		{webhookSchema, `{"webhook":{}}`, []string{`webhook requires property "enabled"`, `webhook requires property "url"`}},
		{webhookSchema, `{"webhook":{"enabled":true,"url":"","events":["X",5]}}`, []string{
			`webhook.events[0] is not one of enum values: ` + allEvents, `webhook.events[1] is not of a type(s) string`, `webhook.events[1] is not one of enum values: ` + allEvents}},
		{proxySchema, `{"enabled":false,"host":"","port":"","protocol":""}`, []string{`The "host" cannot be empty`, `The "port" cannot be empty`, `The "protocol" cannot be empty`}},
		{proxySchema, `{"enabled":true,"port":8080,"host":"h","protocol":"http"}`, []string{`port is not of a type(s) string`}},
		{neighbourSchema("nats"), `{"nats":{"enabled":1,"events":["X"]}}`, []string{`nats.enabled is not of a type(s) boolean`, `nats.events[0] is not one of enum values: ` + allEvents}},
	} {
		if got := tt.schema.find("instance", parse(t, tt.body)); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %q\nwant %q", tt.body, got, tt.want)
		}
	}
}

const allEvents = "APPLICATION_STARTUP,QRCODE_UPDATED,MESSAGES_SET,MESSAGES_UPSERT,MESSAGES_EDITED,MESSAGES_UPDATE,MESSAGES_DELETE,SEND_MESSAGE,SEND_MESSAGE_UPDATE," +
	"CONTACTS_SET,CONTACTS_UPSERT,CONTACTS_UPDATE,PRESENCE_UPDATE,CHATS_SET,CHATS_UPSERT,CHATS_UPDATE,CHATS_DELETE,GROUPS_UPSERT,GROUP_UPDATE,GROUP_PARTICIPANTS_UPDATE," +
	"CONNECTION_UPDATE,LABELS_EDIT,LABELS_ASSOCIATION,CALL,TYPEBOT_START,TYPEBOT_CHANGE_STATUS,REMOVE_INSTANCE,LOGOUT_INSTANCE,INSTANCE_CREATE,INSTANCE_DELETE,STATUS_INSTANCE"

// What comes from outside is an object or an error, never a panic, and what passed
// the schema makes a request.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{`{}`, `[]`, `null`, `{"instanceName":"x","integration":"WHATSAPP-BAILEYS","qrcode":true,"number":"55119"}`, `{"a":1}{"b":2}`,
		`{"webhook":{"enabled":true,"url":"https://example.com","headers":{"a":{"b":1}},"events":["CALL"]}}`, `{"number":1e400}`, `"x"`, ``, `{"proxyHost":"h","proxyPort":"99999","proxyProtocol":"http"}`} {
		f.Add([]byte(seed))
	}
	a := New(Options{})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := fromJSON(data)
		if err != nil {
			if _, ok := asFailure(err); !ok {
				t.Fatalf("%v is no failure", err)
			}
			return
		}
		if b.value == nil || !json.Valid(b.raw) {
			t.Fatalf("%q is read as %v %s", data, b.value, b.raw)
		}
		for _, s := range []*schema{createSchema, settingsSchema, webhookSchema, proxySchema, presenceSchema} {
			if err := s.check(b.value); err == nil && s == webhookSchema {
				if _, err := wishOf(b.value["webhook"].(map[string]any)); err != nil {
					t.Fatalf("%q passes the schema: %v", data, err)
				}
			}
		}
		if req, _, err := a.creation(b.value); err == nil && (strings.TrimSpace(req.GetName()) == "" || req.GetToken() == "") {
			t.Fatalf("%q makes %v", data, req)
		}
	})
}

func FuzzForms(f *testing.F) {
	f.Add([]byte("instanceName=x&integration=WHATSAPP-BAILEYS"))
	f.Add([]byte("a=%zz"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if b, err := fromForm(data); err == nil && !json.Valid(b.raw) {
			t.Fatalf("%q is read as %s", data, b.raw)
		}
	})
}
