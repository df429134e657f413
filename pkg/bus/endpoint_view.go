package bus

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// EndpointChange is a change of an endpoint's record; Key is the webhook's id.
type EndpointChange = Change[*pb.EndpointRecord]

// EndpointView holds the record of every webhook endpoint.
type EndpointView struct {
	follower *Follower[*pb.EndpointRecord]

	mu         sync.RWMutex
	byInstance map[instance.ID]map[string]struct{}
}

func newEndpointView(conn *Conn, log *zap.Logger) *EndpointView {
	v := &EndpointView{byInstance: map[instance.ID]map[string]struct{}{}}
	v.follower = Follow(conn, FollowOptions[*pb.EndpointRecord]{
		Bucket: BucketEndpoints,
		Key:    ParseEndpointKey,
		Decode: func(id string, data []byte) (*pb.EndpointRecord, error) {
			rec := new(pb.EndpointRecord)
			if err := DecodeJSON(data, rec); err != nil {
				return nil, err
			}
			if rec.Webhook == nil {
				rec.Webhook = &pb.Webhook{}
			}
			rec.Webhook.Id = id
			rec.Webhook.Format = intern(rec.Webhook.Format)
			for i, kind := range rec.Webhook.Events {
				rec.Webhook.Events[i] = intern(kind)
			}
			return rec, nil
		},
		Log: log,
	})
	v.follower.index = v.index
	return v
}

func (v *EndpointView) index(changes []EndpointChange, _ bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range changes {
		if c.Previous != nil {
			of := instance.ID(c.Previous.Webhook.InstanceId)
			delete(v.byInstance[of], c.Key)
			if len(v.byInstance[of]) == 0 {
				delete(v.byInstance, of)
			}
		}
		if c.Deleted {
			continue
		}
		of := instance.ID(c.Value.Webhook.InstanceId)
		if v.byInstance[of] == nil {
			v.byInstance[of] = make(map[string]struct{}, 1)
		}
		v.byInstance[of][c.Key] = struct{}{}
	}
}

// Get returns the record of the endpoint and its revision; ok is false when there is none.
func (v *EndpointView) Get(webhookID string) (rec *pb.EndpointRecord, revision uint64, ok bool) {
	return v.follower.Get(webhookID)
}

// ByInstance returns the endpoints of one instance, in the order of their ids;
// those of all instances for the empty id, which are in no other list.
func (v *EndpointView) ByInstance(id instance.ID) []*pb.EndpointRecord {
	v.follower.Start()
	v.mu.RLock()
	ids := slices.Sorted(maps.Keys(v.byInstance[id]))
	v.mu.RUnlock()
	recs := make([]*pb.EndpointRecord, 0, len(ids))
	for _, webhook := range ids {
		if rec, _, ok := v.Get(webhook); ok {
			recs = append(recs, rec)
		}
	}
	return recs
}

// All yields every record, in no order.
func (v *EndpointView) All() iter.Seq[*pb.EndpointRecord] {
	return func(yield func(*pb.EndpointRecord) bool) {
		for _, rec := range v.follower.All() {
			if !yield(rec) {
				return
			}
		}
	}
}

// Count returns how many endpoints there are.
func (v *EndpointView) Count() int { return v.follower.Len() }

// Subscribe is that of Follower: fn hears of every change of a record, in order.
func (v *EndpointView) Subscribe(fn func(EndpointChange)) (cancel func()) {
	return v.follower.Subscribe(fn)
}

// Ready is closed once every record is held.
func (v *EndpointView) Ready() <-chan struct{} { return v.follower.Ready() }

// WaitRevision is that of Follower.
func (v *EndpointView) WaitRevision(ctx context.Context, revision uint64) error {
	return v.follower.WaitRevision(ctx, revision)
}

// SilentFor is that of Follower.
func (v *EndpointView) SilentFor() time.Duration { return v.follower.SilentFor() }
