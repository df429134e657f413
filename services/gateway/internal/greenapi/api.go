// Package greenapi is the face of the gateway for clients of GREEN-API: its routes
// for instances, linking and receiving, on /waInstance{id}/… and /partner/…, with or
// without /v3 before them.
//
// What a client of that product relies on is kept byte by byte: bodies, statuses,
// names, types, and which failures are answered with 200. What it cannot see is
// better: states come from what the session published, settings hold at once, a
// picture is never one that is over. Additions travel in headers alone.
//
// Paths hold tokens, so nothing here logs a path, and routes are named by their
// method alone.
package greenapi

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/services/gateway/internal/client"
	"pairgate.dev/services/gateway/internal/web"
)

// window is the length of the pairing window that these clients open, counted from
// the last time that they asked. codeWindow is that of one opened for a pairing
// code: the product promises such a code a life of two and a half minutes.
const (
	window     = 100 * time.Second
	codeWindow = 150 * time.Second
)

// Options are what the face needs.
type Options struct {
	Client *client.Client
	// Queue holds the notifications that clients pull.
	Queue Queue
	// PartnerToken opens the partner methods; with an empty one they refuse everybody.
	PartnerToken seal.Secret
	// LinkedMAX is how the qr method of MAX instances says that they are linked
	// already; empty for AlreadyLogged.
	LinkedMAX string
	// Unlimited turns the product's rate limits off.
	Unlimited bool
	// Misses count, for each address, the requests with an id or token that is not known here.
	Misses *web.Limiter
	// Stopping ends when the process drains: waits and sockets end then.
	Stopping context.Context
}

// API serves the routes.
type API struct {
	Options
	limits  *limits
	opening singleflight.Group
	// changing has a lock for each instance whose settings are being changed.
	changing *keyedLocks
	sockets  sync.WaitGroup
}

// New makes the face.
func New(o Options) *API {
	if o.LinkedMAX == "" {
		o.LinkedMAX = AlreadyLogged
	}
	return &API{Options: o, limits: newLimits(o.Unlimited), changing: newKeyedLocks()}
}

// Register mounts the face.
func (a *API) Register(rt *web.Router) {
	rt.Mount(web.Mount{Match: matches, Serve: a.serve, Fail: fail})
}

// Wait returns when the last socket has ended. Sockets end with Options.Stopping; a
// server that shuts down does not wait for them.
func (a *API) Wait() { a.sockets.Wait() }

// waiting returns the context of a wait: it ends with the request, and when the
// process drains.
func (a *API) waiting(r *http.Request) (context.Context, context.CancelFunc) {
	return web.Until(r, a.Stopping)
}

// serve answers whatever has a path of the product.
func (a *API) serve(w http.ResponseWriter, r *http.Request) error {
	crossOrigin(w)
	if r.Method == http.MethodOptions {
		web.SetRoute(w, routePreflight)
		return preflight(w)
	}
	err := a.route(w, r, parsePath(r.URL.EscapedPath()))
	if refused, ok := err.(*refusal); ok { //nolint:errorlint // refusals are never wrapped
		return refused.write(w)
	}
	return err
}

func (a *API) route(w http.ResponseWriter, r *http.Request, p path) error {
	if p.partner {
		return a.partner(w, r, p)
	}
	if m, known := methodNamed(p.method); known {
		web.SetRoute(w, m.route())
		return a.call(w, r, p, m)
	}
	if token, ok := p.page(); ok {
		web.SetRoute(w, routePage)
		return a.page(w, r, p, token)
	}
	web.SetRoute(w, routeUnknown)
	return errNoMethod
}

// call serves a method of an instance. The order of the checks is the product's:
// the route, then who asks, then whether the instance is there, then how often, and
// only then what was sent.
func (a *API) call(w http.ResponseWriter, r *http.Request, p path, m *method) error {
	if m.serve != nil && m.verb != r.Method {
		return errNoMethod
	}
	if prefetched(r) {
		return errPrefetch
	}
	c, err := a.admit(w, r, p)
	if err != nil {
		return err
	}
	if m.serve == nil {
		return notOffered(m.name)
	}
	if err := a.limits.allow(w, string(c.id), m, c.max()); err != nil {
		return err
	}
	return m.serve(a, w, r, c)
}

// prefetched says that a browser asks on its own account: these methods act, and
// nobody has asked for that yet.
func prefetched(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		if strings.HasPrefix(strings.ToLower(r.Header.Get(name)), "prefetch") {
			return true
		}
	}
	return false
}

func crossOrigin(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", web.AnyOrigin)
	h.Set("Access-Control-Expose-Headers", "Retry-After, X-Error-Code, X-QR-Expires-At, X-RateLimit-Remaining, X-RateLimit-Replenish-Rate, "+web.HeaderRequestID)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the token stands in the address
}

func preflight(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS, DELETE")
	h.Set("Access-Control-Allow-Headers", "Accept, Authorization, Cache-Control, Content-Type, Pragma, X-Requested-With, "+web.HeaderRequestID)
	h.Set("Access-Control-Max-Age", "7200")
	return web.NoContent(w)
}

// called is a request that was let in.
type called struct {
	id     instance.ID
	number uint64
	// provider of the instance; the messenger decides the dialect, not the path.
	provider instance.Provider
	// hash of the token that it came with.
	hash string
	// tail is what stands after the token.
	tail []string
}

func (c *called) max() bool { return c.provider == instance.MAX }
