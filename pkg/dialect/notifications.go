package dialect

import "slices"

// The notifications of GREEN-API that Pairgate sends, by their typeWebhook.
const (
	GreenStateChanged  = "stateInstanceChanged"
	GreenStatusChanged = "statusInstanceChanged"
)

// greenGates are the settings that turn notifications on.
var greenGates = map[string]string{
	GreenStateChanged:  "stateWebhook",
	GreenStatusChanged: "statusInstanceWebhook",
}

// GreenGate returns the name of the yes/no setting that turns a notification on, and
// "" for one that Pairgate does not send.
func GreenGate(typeWebhook string) string { return greenGates[typeWebhook] }

// GreenWanted returns the notifications that Pairgate sends under these settings
// that are yes, in the order of the documentation.
func GreenWanted(flags []string) []string {
	var out []string
	for _, name := range []string{GreenStateChanged, GreenStatusChanged} {
		if slices.Contains(flags, greenGates[name]) {
			out = append(out, name)
		}
	}
	return out
}

// GreenNotifications lists every typeWebhook that GREEN-API documents. An endpoint may
// ask for any of them, also for those that Pairgate never sends.
func GreenNotifications() []string {
	return []string{"incomingMessageReceived", "outgoingMessageReceived", "outgoingAPIMessageReceived", "outgoingMessageStatus",
		GreenStateChanged, GreenStatusChanged, "deviceInfo", "incomingCall", "outgoingCall", "incomingBlock", "quotaExceeded"}
}

// The events of Evolution API that Pairgate sends, as they stand in a webhook.
const (
	EvolutionInstanceCreate   = "instance.create"
	EvolutionQRUpdated        = "qrcode.updated"
	EvolutionConnectionUpdate = "connection.update"
	EvolutionStatusInstance   = "status.instance"
	EvolutionLogoutInstance   = "logout.instance"
	EvolutionInstanceDelete   = "instance.delete"
	EvolutionRemoveInstance   = "remove.instance"
)

// EvolutionEvents lists the names that an Evolution API webhook can subscribe to, in
// the order in which its messages name them. An endpoint may ask for any of them, also
// for those that Pairgate never sends.
func EvolutionEvents() []string {
	return []string{"APPLICATION_STARTUP", "QRCODE_UPDATED", "MESSAGES_SET", "MESSAGES_UPSERT", "MESSAGES_EDITED", "MESSAGES_UPDATE",
		"MESSAGES_DELETE", "SEND_MESSAGE", "SEND_MESSAGE_UPDATE", "CONTACTS_SET", "CONTACTS_UPSERT", "CONTACTS_UPDATE",
		"PRESENCE_UPDATE", "CHATS_SET", "CHATS_UPSERT", "CHATS_UPDATE", "CHATS_DELETE", "GROUPS_UPSERT", "GROUP_UPDATE",
		"GROUP_PARTICIPANTS_UPDATE", "CONNECTION_UPDATE", "LABELS_EDIT", "LABELS_ASSOCIATION", "CALL", "TYPEBOT_START",
		"TYPEBOT_CHANGE_STATUS", "REMOVE_INSTANCE", "LOGOUT_INSTANCE", "INSTANCE_CREATE", "INSTANCE_DELETE", "STATUS_INSTANCE"}
}

// EvolutionName returns the name to subscribe to of an event as it stands in a
// webhook: "qrcode.updated" is "QRCODE_UPDATED".
func EvolutionName(event string) string {
	out := []byte(event)
	for i, c := range out {
		switch {
		case c == '.' || c == '-':
			out[i] = '_'
		case 'a' <= c && c <= 'z':
			out[i] = c - 'a' + 'A'
		}
	}
	return string(out)
}

// EvolutionPath returns the last part of the URL of an event for a webhook by events:
// "qrcode.updated" is "qrcode-updated".
func EvolutionPath(event string) string {
	out := []byte(event)
	for i, c := range out {
		switch {
		case c == '.' || c == '_':
			out[i] = '-'
		case 'A' <= c && c <= 'Z':
			out[i] = c - 'A' + 'a'
		}
	}
	return string(out)
}
