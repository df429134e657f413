package evolution

import (
	"net/http"
	"strings"

	"pairgate.dev/services/gateway/internal/web"
)

// family is what the first segment of a path stands for.
type family struct {
	// what names it where it is not offered; empty where some of it is.
	what string
	// own says that there are routes of it.
	own bool
}

// families are all of the product's, in lower case.
var families = map[string]family{
	"instance": {own: true}, "settings": {own: true}, "webhook": {own: true}, "proxy": {own: true},
	"verify-creds": {own: true}, "manager": {own: true},
	"websocket": {own: true}, "rabbitmq": {own: true}, "nats": {own: true}, "sqs": {own: true}, "kafka": {own: true},

	"message": {what: "sending messages"}, "chat": {what: "chats and contacts"}, "group": {what: "groups"},
	"call": {what: "calls"}, "label": {what: "labels"}, "business": {what: "catalogues and business profiles"},
	"template": {what: "message templates"}, "baileys": {what: "raw calls of Baileys"}, "s3": {what: "stored media"},
	"pusher": {what: "Pusher"}, "chatwoot": {what: "Chatwoot"}, "typebot": {what: "Typebot"}, "openai": {what: "OpenAI"},
	"dify": {what: "Dify"}, "flowise": {what: "Flowise"}, "n8n": {what: "n8n agents"}, "evolutionbot": {what: "Evolution Bot"},
	"evoai": {what: "EvoAI"},
}

// neighbours are the other ways of events out of the product. They answer as they do
// there when they are off.
var neighbours = []string{"websocket", "rabbitmq", "nats", "sqs", "kafka"}

func neighbourRoutes() []route {
	var out []route
	for _, name := range neighbours {
		out = append(out,
			route{"POST", "/" + name + "/set" + named, ofInstance, func(_ *API, c *call) error {
				body, err := c.body()
				if err != nil {
					return err
				}
				if err := neighbourSchema(name).check(body.value); err != nil {
					return err
				}
				return nothing(c.w, http.StatusCreated)
			}},
			route{"GET", "/" + name + "/find" + named, ofInstance, func(_ *API, c *call) error { return nothing(c.w, http.StatusOK) }})
	}
	return out
}

// nothing is an answer with an empty body, which is what the product sends for a value that is undefined.
func nothing(w http.ResponseWriter, status int) error {
	return web.Bytes(w, status, "application/json; charset=utf-8", nil)
}

// noRoute answers what no route serves.
func (a *API) noRoute(w http.ResponseWriter, r *http.Request, parts []string) error {
	first := strings.ToLower(parts[0])
	web.SetRoute(w, "/"+first)
	f := families[first]
	if first == "manager" && !a.HideManager && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		http.Redirect(w, r, "/", http.StatusFound)
		return nil
	}
	if f.what != "" {
		// Not 501: what is not there is 404 in this product, and clients try again after a 5xx.
		return exception(http.StatusNotFound, "This server does not offer "+f.what+" ("+r.Method+" /"+first+"): it links instances and tells of their state.")
	}
	return unrouted(r)
}
