// Package global is the webhook of all instances that the configuration makes, as
// Evolution API has one.
//
// It exists in the dispatchers alone and stands in no bucket: the configuration stays
// the only place where it is said, so that taking it out of there is all it takes to
// end it, nobody changes or deletes it by the API, and no second writer of ENDPOINTS is
// needed. Its id is the same in every dispatcher, so that its lanes survive take-overs;
// so all dispatchers of a deployment need the same configuration: one that does not
// know the webhook purges what it is owed, as with one that was deleted.
package global

import (
	"context"
	"slices"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// ID of the webhook. It never changes.
const ID = "5d3b0f5e-52d4-5c80-9f0c-5a1c6f3e7b11"

// Is says whether a webhook's id is that of the one the configuration makes.
func Is(id string) bool { return id == ID }

// Endpoints are the webhooks of the bucket, and the one that the configuration makes.
type Endpoints struct {
	view *bus.EndpointView
	own  *pb.EndpointRecord
}

// Spec is what the configuration says of the webhook.
type Spec struct {
	URL string
	// Events are the names that it asks for; none for all.
	Events []string
	// Options of the format.
	Options map[string]string
}

// Over returns the webhooks of the view and, where spec is not nil, one more.
func Over(view *bus.EndpointView, spec *Spec) *Endpoints {
	e := &Endpoints{view: view}
	if spec != nil {
		e.own = &pb.EndpointRecord{Webhook: &pb.Webhook{Id: ID, Url: spec.URL, Format: string(instance.FormatEvolution),
			Enabled: true, FormatEvents: spec.Events, FormatOptions: spec.Options}}
	}
	return e
}

// Get returns a webhook's record and its revision, which is 0 for the one that the
// configuration makes.
func (e *Endpoints) Get(webhookID string) (rec *pb.EndpointRecord, revision uint64, ok bool) {
	if e.own != nil && Is(webhookID) {
		return e.own, 0, true
	}
	return e.view.Get(webhookID)
}

// ByInstance returns the webhooks of an instance; those of all instances for the empty id.
func (e *Endpoints) ByInstance(id instance.ID) []*pb.EndpointRecord {
	all := e.view.ByInstance(id)
	if e.own != nil && id == "" {
		all = append(slices.Clip(all), e.own)
	}
	return all
}

// WaitRevision waits until the bucket's revision is known here.
func (e *Endpoints) WaitRevision(ctx context.Context, revision uint64) error {
	return e.view.WaitRevision(ctx, revision)
}

// Subscribe calls fn for every change of a record in the bucket.
func (e *Endpoints) Subscribe(fn func(bus.EndpointChange)) (cancel func()) {
	return e.view.Subscribe(fn)
}
