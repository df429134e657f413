// Package evolution is the face of Evolution API 2.3.7: clients of that product
// change a host name and nothing else.
//
// Paths, verbs, status codes, the order and names of members, and the texts of its
// validator are that product's. What its users suffer from is not: the key is
// checked before anything is told of an instance, nothing but the path names the
// instance, create and connect wait for the first code instead of sleeping, and
// where there is no code the reason stands beside it.
//
// Guarantees: a token of one instance never reaches another; no answer shows a code
// that is over; what this server does not offer is answered in the same error shape
// and says so.
package evolution

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/services/gateway/internal/client"
	"pairgate.dev/services/gateway/internal/web"
)

const (
	// version is the version of Evolution API that is spoken.
	version = "2.3.7"
	// qrLife is how long Evolution API shows one code; QRLimit counts in it.
	qrLife = 45 * time.Second
	// MaxQRLimit is the greatest QRLimit: no pairing window may be longer than a day.
	MaxQRLimit = int(24 * time.Hour / qrLife)

	defaultWait       = 15 * time.Second
	defaultQRLimit    = 30
	defaultQRColor    = "#198754"
	defaultClientName = "evolution"
	// logoutWait is how long a logout may take until its outcome is not awaited any more.
	logoutWait = 15 * time.Second
)

// Options are what the face needs.
type Options struct {
	Client   *client.Client
	AdminKey seal.Secret
	// Limiter counts requests with keys that nobody has, so that guessing is slow.
	Limiter *web.Limiter
	// Stopping ends when the process drains: waits end then.
	Stopping context.Context

	// QRLimit is how many codes of 45 seconds a pairing window shows, 1 to MaxQRLimit; 0 for 30.
	QRLimit int
	// QRColor is that of the dark modules, "#rrggbb", of instances made here; empty for the product's own.
	QRColor string
	// ClientName is what every instance shows as its clientName; empty for "evolution".
	ClientName string
	// HideTokens leaves the tokens out of fetchInstances.
	HideTokens bool
	// HideManager leaves the manager out of the answer at the root.
	HideManager bool
	// Origins are those whose pages may use the routes from a browser; "*" for all.
	Origins []string
	// WebVersion is the version of WhatsApp that is told while none is set at run time; empty for none.
	WebVersion string
	// Wait is how long create, connect and restart wait for what they ask for; 0 for 15 seconds.
	Wait time.Duration
}

// API serves the routes.
type API struct {
	Options
	webVersion webVersion
}

// New makes the face.
func New(o Options) *API {
	o.Wait = cmp.Or(o.Wait, defaultWait)
	o.QRLimit = cmp.Or(o.QRLimit, defaultQRLimit)
	o.QRColor = cmp.Or(o.QRColor, defaultQRColor)
	o.ClientName = cmp.Or(o.ClientName, defaultClientName)
	return &API{Options: o}
}

// Mount is the part of a router that the face serves: everything under the first
// segments that Evolution API has, whether it is offered or not.
func (a *API) Mount() web.Mount {
	return web.Mount{
		Match: matches,
		Serve: a.serve,
		Fail: func(w http.ResponseWriter, _ *http.Request, p *instance.Problem) {
			ofProblem(p).write(w)
		},
	}
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) error {
	if a.cors(w, r) {
		return nil
	}
	err := a.route(w, r)
	if err == nil {
		return nil
	}
	if f, ok := asFailure(err); ok {
		f.write(w)
		return nil
	}
	return err // the router logs it, and answers by Fail
}

// waiting returns the context of a wait: it ends with the request, and when the
// process drains.
func (a *API) waiting(r *http.Request) (context.Context, context.CancelFunc) {
	return web.Until(r, a.Stopping)
}

// window is the length of the pairing windows that this face opens, in seconds.
func (a *API) window() uint32 { return uint32(a.QRLimit) * uint32(qrLife/time.Second) }
