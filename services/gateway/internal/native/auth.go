package native

import (
	"context"
	"net/http"
	"strings"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/services/gateway/internal/web"
)

// principal is who sends a request: the admin, or the holder of an instance's token.
type principal struct {
	admin bool
	// hash of the token, and the instances that it belongs to; several only where
	// creators chose equal tokens.
	hash string
	own  []instance.ID
}

type principalKey struct{}

func principalOf(ctx context.Context) principal {
	p, _ := ctx.Value(principalKey{}).(principal)
	return p
}

var (
	errNoToken    = instance.Problemf(instance.CodeUnauthorized, "Send the admin key or the instance's token: Authorization: Bearer <token>.")
	errWrongToken = instance.Problemf(instance.CodeUnauthorized, "The token is unknown or was replaced.")
	errAdminOnly  = instance.Problemf(instance.CodeForbidden, "Only the admin key may do this; an instance's token reaches that instance alone.")
	errForbidden  = instance.Problemf(instance.CodeForbidden, "This token belongs to another instance.")
)

// bearer returns the token of a request.
func bearer(r *http.Request) (string, bool) {
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, found && strings.EqualFold(scheme, "Bearer") && token != ""
}

// authenticate finds out who sends the request, and counts it against his rate.
func (a *API) authenticate(w http.ResponseWriter, r *http.Request) (principal, error) {
	token, ok := bearer(r)
	if !ok {
		return principal{}, errNoToken
	}
	hash := seal.HashToken(token)
	if seal.Equal(token, a.AdminKey.Reveal()) {
		return principal{admin: true, hash: hash}, a.Limiter.Allow(w, hash)
	}
	ids, known := a.Client.Holders(hash)
	if !known {
		// Guessing tokens must not flood the registry, so it counts against the address.
		if err := a.Limiter.Allow(w, "from "+web.Address(r)); err != nil {
			return principal{}, err
		}
		var err error
		if ids, err = a.Client.AskHolders(r.Context(), hash); err != nil {
			return principal{}, err
		}
	}
	if len(ids) == 0 {
		return principal{}, errWrongToken
	}
	return principal{hash: hash, own: ids}, a.Limiter.Allow(w, hash)
}

// authenticated serves requests of any known sender.
func (a *API) authenticated(h web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := a.Client.Ready(r.Context()); err != nil {
			return err
		}
		who, err := a.authenticate(w, r)
		if err != nil {
			return err
		}
		return h(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, who)))
	}
}

// admin serves requests of the admin alone.
func (a *API) admin(h web.Handler) web.Handler {
	return a.authenticated(func(w http.ResponseWriter, r *http.Request) error {
		if !principalOf(r.Context()).admin {
			return errAdminOnly
		}
		return h(w, r)
	})
}

// instance serves requests about the instance of the route, of the admin and of
// its own token. Whether another instance exists is not told to a token.
func (a *API) instance(h func(http.ResponseWriter, *http.Request, instance.ID) error) web.Handler {
	return a.authenticated(func(w http.ResponseWriter, r *http.Request) error {
		id, err := a.reach(r)
		if err != nil {
			return err
		}
		return h(w, r, id)
	})
}

// reach resolves the ref of the route as far as the sender may see.
func (a *API) reach(r *http.Request) (instance.ID, error) {
	who, ref := principalOf(r.Context()), r.PathValue("ref")
	if who.admin {
		return a.Client.Resolve(r.Context(), ref)
	}
	id, ok, err := a.Client.ResolveAmong(r.Context(), who.own, ref)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", errForbidden
	}
	return id, nil
}

// AdminOnly guards a handler that is none of the API's, such as the metrics, by the admin key.
func (a *API) AdminOnly(h http.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		token, ok := bearer(r)
		switch {
		case !ok:
			return errNoToken
		case !seal.Equal(token, a.AdminKey.Reveal()):
			return errWrongToken
		}
		h.ServeHTTP(w, r)
		return nil
	}
}

// Known guards a handler that is none of the API's by any key: the admin's, or that of any instance.
func (a *API) Known(h http.Handler) web.Handler {
	return a.authenticated(func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	})
}
