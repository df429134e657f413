// Package dialect says what instances are in the words of the products that
// Pairgate imitates: GREEN-API and Evolution API. It is pure; how these words travel
// is for the faces of the gateway and for the webhooks.
package dialect

import "pairgate.dev/pkg/instance"

// The words of GREEN-API for what an instance is.
const (
	GreenNotAuthorized   = "notAuthorized"
	GreenAuthorized      = "authorized"
	GreenStarting        = "starting"
	GreenPendingPassword = "pendingPassword"
	GreenSuspended       = "suspended"
	GreenBlocked         = "blocked"

	GreenOnline  = "online"
	GreenOffline = "offline"
)

// GreenState returns the stateInstance of a phase; linked says whether there is an
// account. It returns "" for a deleted instance, which has none, and the state of a
// new instance for the empty phase, which is before the first status.
func GreenState(phase instance.Phase, linked bool) string {
	switch phase {
	case "", instance.Idle, instance.Connecting, instance.Pairing, instance.PasskeyRequired:
		return GreenNotAuthorized
	case instance.PasswordRequired:
		return GreenPendingPassword
	case instance.Syncing:
		return GreenStarting
	case instance.Online, instance.Offline:
		return GreenAuthorized
	case instance.Suspended:
		return GreenSuspended
	case instance.Blocked:
		return GreenBlocked
	case instance.Outdated:
		if linked {
			return GreenAuthorized
		}
		return GreenNotAuthorized
	}
	return ""
}

// GreenStatus returns the statusInstance of a phase: whether there is a connection
// to the messenger for a linked account.
func GreenStatus(phase instance.Phase) string {
	if phase == instance.Online || phase == instance.Suspended {
		return GreenOnline
	}
	return GreenOffline
}

// GreenWID returns the wid of an account's phone in a state of GreenState: digits and
// "@c.us", and "" in the states without a usable account.
func GreenWID(state, phone string) string {
	if phone == "" || state != GreenAuthorized && state != GreenSuspended {
		return ""
	}
	return phone + "@c.us"
}

// GreenType returns the typeInstance of a provider.
func GreenType(p instance.Provider) string {
	if p == instance.MAX {
		return "v3"
	}
	return "whatsapp"
}

// The connection states of Evolution API.
const (
	EvolutionClose      = "close"
	EvolutionConnecting = "connecting"
	EvolutionOpen       = "open"
	// EvolutionRefused stands in the event of a pairing window that ended unused, and nowhere else.
	EvolutionRefused = "refused"
)

// EvolutionState returns the connection state of a phase; linked says whether there
// is an account. It returns "" for a deleted instance, which has none, and the state
// of a new instance for the empty phase, which is before the first status.
func EvolutionState(phase instance.Phase, linked bool) string {
	switch phase {
	case "", instance.Idle, instance.Blocked:
		return EvolutionClose
	case instance.Connecting, instance.Pairing, instance.PasswordRequired, instance.PasskeyRequired,
		instance.Syncing, instance.Offline:
		return EvolutionConnecting
	case instance.Online, instance.Suspended:
		return EvolutionOpen
	case instance.Outdated:
		if linked {
			return EvolutionConnecting
		}
		return EvolutionClose
	}
	return ""
}

// EvolutionJID returns the JID that Evolution API shows of an account: its phone at
// the server of WhatsApp's users, else its id as the messenger gives it.
func EvolutionJID(a instance.Account) string {
	if a.Phone != "" {
		return a.Phone + "@s.whatsapp.net"
	}
	return a.ID
}
