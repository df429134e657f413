package evolution

import (
	"regexp"

	"pairgate.dev/pkg/dialect"
)

var (
	aText    = &schema{kind: "string"}
	aSwitch  = &schema{kind: "boolean"}
	aNumber  = &schema{kind: "number"}
	anObject = &schema{kind: "object"}

	// oldEvents are those that the schema of create knows: it looks at the event lists
	// of clients of version 1, which have no effect.
	oldEvents = dialect.EvolutionEvents()[:26]
)

func eventList(names []string) *schema {
	return &schema{kind: "array", items: &schema{kind: "string", enum: names}}
}

func props(kind *schema, names ...string) []property {
	out := make([]property, len(names))
	for i, name := range names {
		out[i] = property{name, kind}
	}
	return out
}

// concat joins properties in their order, which is that of the messages.
func concat(parts ...[]property) (out []property) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

var createSchema = &schema{kind: "object", filled: []string{"instanceName"}, properties: concat(
	props(aText, "instanceName", "token"),
	[]property{{"number", &schema{kind: "string", pattern: regexp.MustCompile(`^\d+[\.@\w-]+`)}}},
	props(aText, "businessId"),
	props(aSwitch, "qrcode"),
	settingsProperties,
	props(aText, "proxyHost", "proxyPort", "proxyProtocol", "proxyUsername", "proxyPassword"),
	props(aText, "webhookUrl"), props(aSwitch, "webhookByEvents", "webhookBase64"), props(eventList(oldEvents), "webhookEvents"),
	props(aSwitch, "rabbitmqEnabled"), props(eventList(oldEvents), "rabbitmqEvents"),
	props(aSwitch, "natsEnabled"), props(eventList(oldEvents), "natsEvents"),
	props(aSwitch, "sqsEnabled"), props(eventList(oldEvents), "sqsEvents"),
	props(aText, "chatwootAccountId", "chatwootToken", "chatwootUrl"),
	props(aSwitch, "chatwootSignMsg", "chatwootReopenConversation", "chatwootConversationPending", "chatwootImportContacts"),
	props(aText, "chatwootNameInbox"),
	props(aSwitch, "chatwootMergeBrazilContacts", "chatwootImportMessages"),
	props(aNumber, "chatwootDaysLimitImportMessages"),
)}

// settingsProperties are the settings of an instance, in the order of the schemas and
// of the answers alike.
var settingsProperties = concat(
	props(aSwitch, "rejectCall"), props(aText, "msgCall"),
	props(aSwitch, "groupsIgnore", "alwaysOnline", "readMessages", "readStatus", "syncFullHistory"),
	props(aText, "wavoipToken"),
)

var settingsSchema = &schema{kind: "object", properties: settingsProperties,
	required: []string{"rejectCall", "groupsIgnore", "alwaysOnline", "readMessages", "readStatus", "syncFullHistory"}}

var presenceSchema = &schema{kind: "object", required: []string{"presence"}, properties: []property{
	{"presence", &schema{kind: "string", enum: []string{"unavailable", "available", "composing", "recording", "paused"}}}}}

var webhookSchema = &schema{kind: "object", required: []string{"webhook"}, properties: []property{
	{"webhook", &schema{kind: "object", required: []string{"enabled", "url"}, filled: []string{"enabled", "url"}, properties: []property{
		{"enabled", aSwitch}, {"url", aText}, {"headers", anObject}, {"byEvents", aSwitch}, {"base64", aSwitch},
		{"events", eventList(dialect.EvolutionEvents())}}}}}}

var proxySchema = &schema{kind: "object", required: []string{"enabled", "host", "port", "protocol"},
	filled:     []string{"enabled", "host", "port", "protocol"},
	properties: concat(props(aSwitch, "enabled"), props(aText, "host", "port", "protocol", "username", "password"))}

// neighbourSchema is that of another way of events out of the product.
func neighbourSchema(name string) *schema {
	return &schema{kind: "object", properties: []property{{name, &schema{kind: "object", required: []string{"enabled"},
		properties: []property{{"enabled", aSwitch}, {"events", eventList(dialect.EvolutionEvents())}}}}}}
}
