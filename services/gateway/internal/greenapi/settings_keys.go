package greenapi

import (
	"slices"

	"pairgate.dev/pkg/instance"
)

// keyKind is what a setting's value is.
type keyKind uint8

const (
	flag    keyKind = iota // "yes" or "no"
	text                   // of the webhook; kept apart
	delay                  // whole milliseconds
	integer                // whole number
	either                 // true, false, "yes" or "no"
	ignored                // taken and not kept: the product has given it up
	shown                  // read only
)

// key is a setting.
type key struct {
	name string
	kind keyKind
	// value is what getSettings shows of a setting that is never kept.
	value string
	// where getSettings shows it: always, or only once it was set.
	whatsapp, max, whenSet bool
}

// keys are the settings in the order in which getSettings shows them. Those of MAX
// are in their own order; see maxOrder.
var keys = []key{
	{name: "wid", kind: shown, whatsapp: true, max: true},
	{name: "typeInstance", kind: shown, max: true},
	{name: "countryInstance", kind: ignored, whatsapp: true},
	{name: "typeAccount", kind: ignored, whatsapp: true},
	{name: "webhookUrl", kind: text, whatsapp: true, max: true},
	{name: "webhookUrlToken", kind: text, whatsapp: true, max: true},
	{name: "delaySendMessagesMilliseconds", kind: delay, value: "500", whatsapp: true, max: true},
	{name: "markIncomingMessagesReaded", kind: flag, whatsapp: true, max: true},
	{name: "markIncomingMessagesReadedOnReply", kind: flag, whatsapp: true, max: true},
	{name: "sharedSession", kind: ignored, value: "no", whatsapp: true},
	{name: "proxyInstance", kind: ignored, value: "system proxy", whatsapp: true},
	{name: "outgoingWebhook", kind: flag, whatsapp: true, max: true},
	{name: "outgoingMessageWebhook", kind: flag, whatsapp: true, max: true},
	{name: "outgoingAPIMessageWebhook", kind: flag, whatsapp: true, max: true},
	{name: "incomingWebhook", kind: flag, whatsapp: true, max: true},
	{name: "deviceWebhook", kind: ignored, value: "no", whatsapp: true},
	{name: "statusInstanceWebhook", kind: flag, whatsapp: true},
	{name: "stateWebhook", kind: flag, whatsapp: true, max: true},
	{name: "enableMessagesHistory", kind: ignored, value: "no", whatsapp: true},
	{name: "keepOnlineStatus", kind: flag, whatsapp: true},
	{name: "pollMessageWebhook", kind: flag, whatsapp: true, max: true},
	{name: "incomingBlockWebhook", kind: flag, whatsapp: true},
	{name: "incomingCallWebhook", kind: flag, whatsapp: true},
	{name: "editedMessageWebhook", kind: flag, whatsapp: true, max: true},
	{name: "deletedMessageWebhook", kind: flag, whatsapp: true, max: true},
	{name: "downloadUrlJpeg", kind: flag, max: true},
	{name: "autoTyping", kind: integer, whatsapp: true, whenSet: true},
	{name: "linkPreview", kind: either, whatsapp: true, whenSet: true},
	{name: "enableLidMode", kind: either, whatsapp: true, whenSet: true},
	{name: "statusInstanceChangedWebhook", kind: ignored},
	{name: "avatarInfoWebhook", kind: ignored},
	{name: "sendFromUTC", kind: ignored},
	{name: "sendToUTC", kind: ignored},
}

// maxOrder is the order of the settings of MAX instances.
var maxOrder = []string{"wid", "typeInstance", "webhookUrl", "webhookUrlToken", "delaySendMessagesMilliseconds",
	"markIncomingMessagesReaded", "markIncomingMessagesReadedOnReply", "outgoingWebhook", "outgoingMessageWebhook",
	"outgoingAPIMessageWebhook", "stateWebhook", "incomingWebhook", "editedMessageWebhook", "deletedMessageWebhook",
	"pollMessageWebhook", "downloadUrlJpeg"}

func keyNamed(name string) (key, bool) {
	i := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
	if i < 0 {
		return key{}, false
	}
	return keys[i], true
}

// keysOf returns the settings that getSettings shows of the messenger's instances, in their order.
func keysOf(p instance.Provider) []key {
	if p != instance.MAX {
		return slices.DeleteFunc(slices.Clone(keys), func(k key) bool { return !k.whatsapp })
	}
	var out []key
	for _, name := range maxOrder {
		k, _ := keyNamed(name)
		out = append(out, k)
	}
	return out
}

// The limits of delaySendMessagesMilliseconds.
const (
	minDelay = 500
	maxDelay = 600_000
)
