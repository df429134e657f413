// Package console is the page that people look at: instances with their live
// phase, and one instance with its live QR code, its history and its webhooks.
//
// It is rendered here and works without scripts; a script of ours makes it live
// over Server-Sent Events that carry rendered parts of the page. It is for the
// holder of the admin key: signing in trades the key for a cookie that every
// gateway with the same key accepts for twelve hours.
//
// Guarantees: the key, tokens, webhook secrets and passwords are never in a page;
// nothing is changed by a request that did not come from a form of this page; no
// page may be framed, cached, or run anything that is not in its assets.
package console

import (
	"context"
	"net/http"

	"go.uber.org/zap"

	"pairgate.dev/pkg/seal"
	"pairgate.dev/services/gateway/internal/client"
	"pairgate.dev/services/gateway/internal/web"
)

// Options are what the page needs.
type Options struct {
	Client   *client.Client
	Log      *zap.Logger
	AdminKey seal.Secret
	Metrics  *web.Metrics
	// Stopping ends when the process drains: streams end then.
	Stopping context.Context
	// Other serves the root to those who are no browsers; nil for nothing there.
	Other web.Handler
}

// Console serves the page.
type Console struct {
	Options
	sessions *sessions
	logins   *loginLimit
}

// New makes the page. The error says that the admin key cannot be used.
func New(o Options) (*Console, error) {
	s, err := newSessions(o.AdminKey)
	if err != nil {
		return nil, err
	}
	return &Console{Options: o, sessions: s, logins: newLoginLimit()}, nil
}

// Register adds the routes: the root, and everything under /console/.
func (c *Console) Register(rt *web.Router) {
	const one = "/console/instances/{id}"
	rt.Handle(http.MethodGet, "/{$}", c.root)
	rt.Handle(http.MethodGet, "/console/assets/{name}", c.asset)
	rt.Handle(http.MethodPost, "/console/login", c.open(c.login))
	rt.Handle(http.MethodPost, "/console/logout", c.change(c.signOut))

	rt.Handle(http.MethodGet, "/console/events", c.private(c.listEvents))
	rt.Handle(http.MethodGet, "/console/new", c.private(c.newForm))
	rt.Handle(http.MethodPost, "/console/instances", c.change(c.create))
	rt.Handle(http.MethodGet, one, c.private(c.show))
	rt.Handle(http.MethodGet, one+"/events", c.private(c.showEvents))
	rt.Handle(http.MethodGet, one+"/ask/{action}", c.private(c.ask))
	rt.Handle(http.MethodPost, one+"/connect", c.change(c.connect))
	rt.Handle(http.MethodPost, one+"/password", c.change(c.password))
	rt.Handle(http.MethodPost, one+"/restart", c.change(c.restart))
	rt.Handle(http.MethodPost, one+"/logout", c.change(c.unlink))
	rt.Handle(http.MethodPost, one+"/delete", c.change(c.remove))
}
