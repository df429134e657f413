// Package native is Pairgate's own HTTP API: instances, their linking, events and
// webhooks, as JSON.
//
// An admin key reaches everything; an instance's token reaches that instance and
// nothing else. Commands go to the registry over NATS; what is only read comes from
// the followed buckets and streams.
package native

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/services/gateway/internal/client"
	"pairgate.dev/services/gateway/internal/web"
)

// Options are what the API needs.
type Options struct {
	Client   *client.Client
	Log      *zap.Logger
	AdminKey seal.Secret
	Limiter  *web.Limiter
	Metrics  *web.Metrics
	// Stopping ends when the process drains: streams and waits end then.
	Stopping context.Context
	// Stream are the times and sizes of event streams; zero values are the defaults.
	Stream Stream
}

// API serves the routes.
type API struct {
	Options
	statuses statuses
}

// New makes the API.
func New(o Options) *API {
	o.Stream = o.Stream.withDefaults()
	return &API{Options: o}
}

// Register adds the routes.
func (a *API) Register(rt *web.Router) {
	const one = "/v1/instances/{ref}"
	rt.Handle(http.MethodPost, "/v1/instances", a.admin(a.create))
	rt.Handle(http.MethodGet, "/v1/instances", a.admin(a.list))
	rt.Handle(http.MethodGet, one, a.instance(a.get))
	rt.Handle(http.MethodPatch, one, a.instance(a.update))
	rt.Handle(http.MethodDelete, one, a.authenticated(a.delete))

	rt.Handle(http.MethodPost, one+"/connect", a.instance(a.connect))
	rt.Handle(http.MethodPost, one+"/logout", a.instance(a.logout))
	rt.Handle(http.MethodPost, one+"/restart", a.instance(a.restart))
	rt.Handle(http.MethodGet, one+"/status", a.instance(a.status))
	rt.Handle(http.MethodGet, one+"/qr", a.instance(a.qr))
	for _, format := range []string{"png", "svg", "txt"} {
		rt.Handle(http.MethodGet, one+"/qr."+format, a.instance(a.picture(format)))
	}
	rt.Handle(http.MethodGet, one+"/pairing-code", a.instance(a.pairingCode))
	rt.Handle(http.MethodPost, one+"/password", a.instance(a.password))
	rt.Handle(http.MethodPost, one+"/passkey/response", a.instance(a.passkeyResponse))
	rt.Handle(http.MethodPost, one+"/passkey/confirm", a.instance(a.passkeyConfirm))
	rt.Handle(http.MethodPost, one+"/token", a.instance(a.rotateToken))
	rt.Handle(http.MethodGet, one+"/events", a.instance(a.instanceEvents))
	rt.Handle(http.MethodGet, "/v1/events", a.admin(a.allEvents))

	a.registerWebhooks(rt, one+"/webhooks", a.instance)
	a.registerWebhooks(rt, "/v1/webhooks", func(h func(http.ResponseWriter, *http.Request, instance.ID) error) web.Handler {
		return a.admin(func(w http.ResponseWriter, r *http.Request) error { return h(w, r, "") })
	})
	a.registerDeliveries(rt)
}

// waiting returns the context of a wait: it ends with the request, and when the
// process drains.
func (a *API) waiting(r *http.Request) (context.Context, context.CancelFunc) {
	return web.Until(r, a.Stopping)
}

func atLeast(d, least time.Duration) time.Duration {
	if d <= 0 {
		return least
	}
	return d
}
