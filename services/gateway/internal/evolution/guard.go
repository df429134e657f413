package evolution

import (
	"context"
	"errors"
	"net/http"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/client"
	"pairgate.dev/services/gateway/internal/web"
)

// caller is who sends a request: the holder of the global key, or of the token of
// some instances; several where their creator chose the same token for them.
type caller struct {
	global bool
	own    []instance.ID
}

// authenticate finds out who sends the request. The error is errUnauthorized, or the
// problem that this can not be told now.
func (a *API) authenticate(w http.ResponseWriter, r *http.Request) (caller, error) {
	if err := a.Client.Ready(r.Context()); err != nil {
		return caller{}, err
	}
	key := r.Header.Get("apikey")
	if key == "" {
		return caller{}, errUnauthorized
	}
	if seal.Equal(key, a.AdminKey.Reveal()) {
		return caller{global: true}, nil
	}
	hash := seal.HashToken(key)
	ids, known := a.Client.Holders(hash)
	if !known {
		if err := a.Limiter.Allow(w, "from "+web.Address(r)); err != nil {
			return caller{}, err
		}
		var err error
		if ids, err = a.Client.AskHolders(r.Context(), hash); err != nil {
			return caller{}, err
		}
	}
	if len(ids) == 0 {
		return caller{}, errUnauthorized
	}
	return caller{own: ids}, nil
}

// reach finds the instance of the path, as far as the caller may see: to a token,
// other instances are as unknown keys are, whether they exist or not.
func (a *API) reach(ctx context.Context, who caller, name string) (*pb.Instance, error) {
	var id instance.ID
	var err error
	if who.global {
		id, err = a.Client.Resolve(ctx, name)
	} else {
		var ok bool
		if id, ok, err = a.Client.ResolveAmong(ctx, who.own, name); err == nil && !ok {
			return nil, errUnauthorized
		}
	}
	var one *pb.Instance
	if err == nil {
		one, err = a.Client.Instance(ctx, id)
	}
	if errors.Is(err, client.ErrNoInstance) {
		return nil, unknownInstance(name)
	}
	return one, err
}
