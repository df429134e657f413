package greenapi

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/web"
)

func parse(t *testing.T, body string) (settingsChange, []string) {
	t.Helper()
	o, err := parseObject([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	change, bad := parseSettings(o)
	var fields []string
	for _, e := range bad {
		fields = append(fields, e.Field)
	}
	return change, fields
}

func TestEveryBadSettingIsNamed(t *testing.T) {
	_, bad := parse(t, `{"stateWebhook":true,"incomingWebhook":"maybe","delaySendMessagesMilliseconds":499,"autoTyping":"x","linkPreview":1,"webhookUrl":5,"webhookUrlToken":false}`)
	want := []string{"autoTyping", "delaySendMessagesMilliseconds", "incomingWebhook", "linkPreview", "stateWebhook", "webhookUrl", "webhookUrlToken"}
	if !slices.Equal(bad, want) {
		t.Errorf("%v", bad)
	}
	if _, bad := parse(t, `{"delaySendMessagesMilliseconds":600001}`); len(bad) != 1 {
		t.Error("a delay above the greatest is let pass")
	}
}

func TestDeprecatedAndUnknownSettingsAreLetPass(t *testing.T) {
	change, bad := parse(t, `{"countryInstance":7,"typeAccount":"x","sharedSession":"yes","proxyInstance":1,"deviceWebhook":"yes","statusInstanceChangedWebhook":"yes",
		"enableMessagesHistory":"yes","avatarInfoWebhook":"no","sendFromUTC":1,"sendToUTC":2,"somethingElse":{},"stateWebhook":null}`)
	if len(bad) > 0 || len(change.flags) > 0 || len(change.values) > 0 {
		t.Errorf("%v %+v", bad, change)
	}
}

// A change keeps what it does not name, and both spellings of switches are kept.
func TestChangesOfSettingsAddUp(t *testing.T) {
	change, bad := parse(t, `{"stateWebhook":"yes","incomingWebhook":"no","delaySendMessagesMilliseconds":1000,"linkPreview":true,"enableLidMode":"yes","autoTyping":3}`)
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	after := change.apply(&pb.GreenApiSettings{Flags: []string{"incomingWebhook", "keepOnlineStatus"}, Values: map[string]string{"autoTyping": "1"}})
	if !slices.Equal(after.Flags, []string{"keepOnlineStatus", "stateWebhook"}) {
		t.Errorf("flags %v", after.Flags)
	}
	for name, want := range map[string]string{"delaySendMessagesMilliseconds": "1000", "linkPreview": "true", "enableLidMode": "yes", "autoTyping": "3"} {
		if after.Values[name] != want {
			t.Errorf("%s: %q", name, after.Values[name])
		}
	}
}

func TestSettingsAreShownInTheProductsOrder(t *testing.T) {
	for provider, want := range map[instance.Provider]int{instance.WhatsApp: 27, instance.MAX: 16} {
		if got := keysOf(provider); len(got) != want || got[0].name != "wid" {
			t.Errorf("%s: %d settings", provider, len(got))
		}
	}
	var m members
	m.add("b", "<&>")
	m.add("a", json.RawMessage("5"))
	body, err := web.PlainJSON(m)
	if err != nil || string(body) != `{"b":"<&>","a":5}` {
		t.Errorf("%s %v", body, err)
	}
}

func TestTokensAreSentAsTheReceiverExpects(t *testing.T) {
	settings := &pb.GreenApiSettings{Values: map[string]string{}}
	for token, want := range map[string]string{"": "", "abc": "Bearer abc", "Bearer abc": "Bearer abc", "Basic YTpi": "Basic YTpi"} {
		if got := headersFor(token, settings)[headerToken]; got != want {
			t.Errorf("%q is sent as %q", token, got)
		}
		if given := settings.Values[tokenAsGiven] != ""; given != (token != "" && token == want) {
			t.Errorf("%q is noted as given: %v", token, given)
		}
	}
}

func FuzzParseSettings(f *testing.F) {
	for _, seed := range []string{`{}`, `{"stateWebhook":"yes"}`, `{"delaySendMessagesMilliseconds":1e3}`, `{"webhookUrl":"\u0000"}`, `null`, `[]`, `{"autoTyping":"99999999999999999999"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		o, err := parseObject([]byte(body))
		if err != nil {
			return
		}
		change, bad := parseSettings(o)
		for _, e := range bad {
			if strings.Contains(e.Message, body) && len(body) > 8 {
				t.Errorf("the message repeats what was sent: %s", e.Message)
			}
		}
		if len(bad) > 0 {
			return
		}
		// What is kept can be shown.
		for name, value := range change.apply(nil).Values {
			if value != "yes" && value != "no" && !json.Valid([]byte(value)) {
				t.Errorf("%s: %q is no JSON", name, value)
			}
		}
	})
}
