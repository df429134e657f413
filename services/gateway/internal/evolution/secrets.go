package evolution

import (
	"context"
	"crypto/sha256"
	"math/big"
	"slices"

	"pairgate.dev/pkg/bus"
	pb "pairgate.dev/proto/pairgate/v1"
)

// maxRevealed is how many instances one request may ask the secrets of.
const maxRevealed = 500

// secrets asks the registry for what this product shows again of instances: tokens,
// passwords of proxies and headers of webhooks, by the instance's id.
func (a *API) secrets(ctx context.Context, ids ...string) (map[string]*pb.InstanceSecrets, error) {
	out := make(map[string]*pb.InstanceSecrets, len(ids))
	for chunk := range slices.Chunk(ids, maxRevealed) {
		var reply pb.RevealReply
		if err := a.Client.Request(ctx, bus.SubjectInstancesReveal, &pb.RevealRequest{InstanceIds: chunk}, &reply); err != nil {
			return nil, err
		}
		for _, s := range reply.GetSecrets() {
			out[s.GetInstanceId()] = s
		}
	}
	return out, nil
}

// cuid makes ids of rows in the form that the product has for them, the same one for
// the same row every time.
func cuid(table, id string) string {
	const letters = 24
	sum := sha256.Sum256([]byte(table + " " + id))
	text := new(big.Int).SetBytes(sum[:]).Text(36)
	for len(text) < letters {
		text = "0" + text
	}
	return "c" + text[len(text)-letters:]
}
