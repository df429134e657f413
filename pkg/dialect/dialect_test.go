package dialect_test

import (
	"slices"
	"testing"

	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
)

// What the contract says of every phase, unlinked and linked.
func TestEveryPhaseInTheWordsOfBothProducts(t *testing.T) {
	for _, c := range []struct {
		phase                      instance.Phase
		green, greenLinked, status string
		evolution, evolutionLinked string
	}{
		{"", "notAuthorized", "notAuthorized", "offline", "close", "close"},
		{instance.Idle, "notAuthorized", "notAuthorized", "offline", "close", "close"},
		{instance.Connecting, "notAuthorized", "notAuthorized", "offline", "connecting", "connecting"},
		{instance.Pairing, "notAuthorized", "notAuthorized", "offline", "connecting", "connecting"},
		{instance.PasswordRequired, "pendingPassword", "pendingPassword", "offline", "connecting", "connecting"},
		{instance.PasskeyRequired, "notAuthorized", "notAuthorized", "offline", "connecting", "connecting"},
		{instance.Syncing, "starting", "starting", "offline", "connecting", "connecting"},
		{instance.Online, "authorized", "authorized", "online", "open", "open"},
		{instance.Offline, "authorized", "authorized", "offline", "connecting", "connecting"},
		{instance.Suspended, "suspended", "suspended", "online", "open", "open"},
		{instance.Blocked, "blocked", "blocked", "offline", "close", "close"},
		{instance.Outdated, "notAuthorized", "authorized", "offline", "close", "connecting"},
		{instance.Deleted, "", "", "offline", "", ""},
		{"other", "", "", "offline", "", ""},
	} {
		t.Run(string(c.phase), func(t *testing.T) {
			for linked, want := range map[bool]string{false: c.green, true: c.greenLinked} {
				if got := dialect.GreenState(c.phase, linked); got != want {
					t.Errorf("stateInstance %q, linked %v, want %q", got, linked, want)
				}
			}
			for linked, want := range map[bool]string{false: c.evolution, true: c.evolutionLinked} {
				if got := dialect.EvolutionState(c.phase, linked); got != want {
					t.Errorf("state %q, linked %v, want %q", got, linked, want)
				}
			}
			if got := dialect.GreenStatus(c.phase); got != c.status {
				t.Errorf("statusInstance %q, want %q", got, c.status)
			}
		})
	}
	for _, p := range instance.Phases() {
		if p != instance.Deleted && (dialect.GreenState(p, false) == "" || dialect.EvolutionState(p, false) == "") {
			t.Errorf("phase %s has no word", p)
		}
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		dialect.GreenWID("authorized", "79001234567"):                                   "79001234567@c.us",
		dialect.GreenWID("suspended", "79001234567") + "!":                              "79001234567@c.us!",
		dialect.GreenWID("notAuthorized", "79001234567") + "?":                          "?",
		dialect.GreenWID("authorized", "") + "-":                                        "-",
		dialect.GreenType(instance.MAX):                                                 "v3",
		dialect.GreenType(instance.WhatsApp):                                            "whatsapp",
		dialect.EvolutionJID(instance.Account{ID: "x:1@s.whatsapp.net", Phone: "5511"}): "5511@s.whatsapp.net",
		dialect.EvolutionJID(instance.Account{ID: "77"}):                                "77",
		dialect.EvolutionName("qrcode.updated"):                                         "QRCODE_UPDATED",
		dialect.EvolutionName("group-participants.update"):                              "GROUP_PARTICIPANTS_UPDATE",
		dialect.EvolutionPath("group-participants.update"):                              "group-participants-update",
		dialect.EvolutionPath("connection.update"):                                      "connection-update",
		dialect.GreenGate("stateInstanceChanged"):                                       "stateWebhook",
		dialect.GreenGate("statusInstanceChanged"):                                      "statusInstanceWebhook",
		dialect.GreenGate("deviceInfo") + ".":                                           ".",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := dialect.GreenWanted([]string{"statusInstanceWebhook", "incomingWebhook", "stateWebhook"}); !slices.Equal(got, []string{"stateInstanceChanged", "statusInstanceChanged"}) {
		t.Error(got)
	}
	if n := len(dialect.EvolutionEvents()); n != 31 {
		t.Errorf("%d events", n)
	}
	for _, sent := range []string{dialect.EvolutionInstanceCreate, dialect.EvolutionQRUpdated, dialect.EvolutionConnectionUpdate, dialect.EvolutionStatusInstance,
		dialect.EvolutionLogoutInstance, dialect.EvolutionInstanceDelete, dialect.EvolutionRemoveInstance} {
		if !slices.Contains(dialect.EvolutionEvents(), dialect.EvolutionName(sent)) {
			t.Errorf("%s cannot be subscribed to", sent)
		}
	}
	for _, sent := range dialect.GreenWanted([]string{"stateWebhook", "statusInstanceWebhook"}) {
		if !slices.Contains(dialect.GreenNotifications(), sent) {
			t.Errorf("%s cannot be asked for", sent)
		}
	}
}
