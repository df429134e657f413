package greenapi

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/client"
	"pairgate.dev/services/gateway/internal/web"
)

// admit finds the instance of the path and checks that the token is its own. The
// error is a refusal or a problem.
func (a *API) admit(w http.ResponseWriter, r *http.Request, p path) (*called, error) {
	number, ok := parseNumber(p.number)
	if !ok {
		return nil, errNumber
	}
	if p.token == "" && r.URL.Query().Has("apiTokenInstance") {
		return nil, errUnauthorized // it is taken from the path alone
	}
	if p.token == "" {
		return nil, errNoToken
	}
	if err := a.Client.Ready(r.Context()); err != nil {
		return nil, err
	}
	c := &called{number: number, hash: seal.HashToken(p.token), tail: p.tail}
	if rec, ok := a.Client.Numbered(number); ok && seal.Equal(rec.GetTokenHash(), c.hash) {
		return c.of(rec), nil
	}
	return a.doubted(w, r, c)
}

func (c *called) of(rec *pb.InstanceRecord) *called {
	c.id, c.provider = instance.ID(rec.GetInstance().GetId()), instance.Provider(rec.GetInstance().GetProvider())
	return c
}

// doubted settles what the view does not confirm, by asking the registry. Guessing
// must not flood it, so this counts against the address.
func (a *API) doubted(w http.ResponseWriter, r *http.Request, c *called) (*called, error) {
	if a.Misses.Allow(w, "from "+web.Address(r)) != nil {
		return nil, errTooMany
	}
	id, err := a.Client.Resolve(r.Context(), strconv.FormatUint(c.number, 10))
	if errors.Is(err, client.ErrNoInstance) {
		return nil, a.gone(c)
	}
	if err != nil {
		return nil, err
	}
	i, err := a.Client.Instance(r.Context(), id)
	switch {
	case errors.Is(err, client.ErrNoInstance):
		return nil, a.gone(c)
	case err != nil:
		return nil, err
	case i.GetNumber() != c.number:
		return nil, errUnknown // a name that looks like a number
	}
	holders, known := a.Client.Holders(c.hash)
	if !known {
		if holders, err = a.Client.AskHolders(r.Context(), c.hash); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(holders, id) {
		return nil, errUnauthorized
	}
	c.id, c.provider = id, instance.Provider(i.GetProvider())
	return c, nil
}

// gone tells the owner of a deleted instance that it is deleted, and everybody else nothing.
func (a *API) gone(c *called) error {
	rec, ok := a.Client.Views().Instances.DeletedByNumber(c.number)
	switch {
	case !ok || !bus.InstanceDeleted(rec):
		return errUnknown
	case !seal.Equal(rec.GetTokenHash(), c.hash):
		return errUnauthorized
	}
	return errDeleted
}
