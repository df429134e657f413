package console

import (
	"strings"

	"pairgate.dev/pkg/instance"
)

// labels are the phases in the words of people.
var labels = map[instance.Phase]string{
	instance.Idle: "Not linked", instance.Connecting: "Connecting", instance.Pairing: "Waiting for the phone",
	instance.PasswordRequired: "Password needed", instance.PasskeyRequired: "Passkey needed", instance.Syncing: "Finishing the link",
	instance.Online: "Online", instance.Offline: "Offline", instance.Suspended: "Restricted", instance.Blocked: "Blocked",
	instance.Outdated: "Client outdated", instance.Deleted: "Deleted",
}

var messengers = map[instance.Provider]string{
	instance.WhatsApp: "WhatsApp", instance.MAX: "MAX", instance.Simulated: "Simulated",
}

// tone is how a phase is coloured. The label says the same in words.
func tone(p instance.Phase) string {
	switch p {
	case instance.Online:
		return "good"
	case instance.Connecting, instance.Pairing, instance.PasswordRequired, instance.PasskeyRequired, instance.Syncing:
		return "busy"
	case instance.Offline, instance.Suspended, instance.Outdated:
		return "warn"
	case instance.Blocked:
		return "bad"
	}
	return "calm"
}

// grouped shows a pairing code of eight characters as two groups, as phones ask for it.
func grouped(code string) string {
	if len(code) != 8 || strings.Contains(code, "-") {
		return code
	}
	return code[:4] + "-" + code[4:]
}
