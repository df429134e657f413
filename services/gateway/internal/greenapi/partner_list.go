package greenapi

import (
	"context"
	"net/http"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

const (
	// revealSize is how many instances' tokens one request asks for.
	revealSize = 500
	// listDeleted is how long a deleted instance stays in the list.
	listDeleted = 90 * 24 * time.Hour
	// listTime is how times are written: without a zone, in UTC.
	listTime = "2006-01-02T15:04:05"
	// neverTime stands for what has not happened, and noExpiry for what never will.
	neverTime = "0001-01-01T00:00:00"
	noExpiry  = "2099-12-31T23:59:59"
	tariff    = "PARTNER"
)

// listed is an instance in the partner's list. The members after isExpired are
// additions, of the product's newest page and ours.
type listed struct {
	Number      uint64 `json:"idInstance"`
	Name        string `json:"name"`
	Type        string `json:"typeInstance"`
	AccountType string `json:"typeAccount"`
	Partner     string `json:"partnerUserUiid"`
	Created     string `json:"timeCreated"`
	Deleted     string `json:"timeDeleted"`
	Token       string `json:"apiTokenInstance"`
	IsDeleted   bool   `json:"deleted"`
	Tariff      string `json:"tariff"`
	Free        bool   `json:"isFree"`
	IsPartner   bool   `json:"isPartner"`
	Expiration  string `json:"expirationDate"`
	Expired     bool   `json:"isExpired"`
	Messenger   string `json:"messenger"`
	State       string `json:"stateInstance,omitempty"`
	WID         string `json:"wid"`
}

// getInstances lists every instance, in the order of their creation, those deleted
// in the last three months included.
func (a *API) getInstances(w http.ResponseWriter, r *http.Request, _ bool) error {
	all := []*pb.InstanceRecord{}
	for rec := range a.Client.Views().Instances.All() {
		if !rec.GetAbandoned() && (rec.GetDeletedAt() == nil || time.Since(rec.GetDeletedAt().AsTime()) < listDeleted) {
			all = append(all, rec)
		}
	}
	tokens, err := a.reveal(r.Context(), all)
	if err != nil {
		return err
	}
	out := make([]listed, len(all))
	for i, rec := range all {
		out[i] = a.list(rec, tokens[rec.GetInstance().GetId()])
	}
	return answer(w, out)
}

// reveal asks for the tokens of instances that are not deleted.
func (a *API) reveal(ctx context.Context, of []*pb.InstanceRecord) (map[string]string, error) {
	var ids []string
	for _, rec := range of {
		if !bus.InstanceDeleted(rec) {
			ids = append(ids, rec.GetInstance().GetId())
		}
	}
	tokens := make(map[string]string, len(ids))
	for some := range slices.Chunk(ids, revealSize) {
		var reply pb.RevealReply
		if err := a.Client.Request(ctx, bus.SubjectInstancesReveal, &pb.RevealRequest{InstanceIds: some}, &reply); err != nil {
			return nil, err
		}
		for _, s := range reply.GetSecrets() {
			tokens[s.GetInstanceId()] = s.GetToken()
		}
	}
	return tokens, nil
}

func (a *API) list(rec *pb.InstanceRecord, token string) listed {
	i := rec.GetInstance()
	kind := dialect.GreenType(instance.Provider(i.GetProvider()))
	out := listed{Number: i.GetNumber(), Name: rec.GetLabel(), Type: kind, Created: written(i.GetCreatedAt()), Deleted: written(rec.GetDeletedAt()),
		Token: token, IsDeleted: rec.GetDeletedAt() != nil, Tariff: tariff, IsPartner: true, Expiration: noExpiry, Messenger: kind}
	if out.Name == "" {
		out.Name = i.GetName()
	}
	if !out.IsDeleted {
		s := a.see(instance.ID(i.GetId()))
		out.State, out.WID = s.state, s.wid()
	}
	return out
}

func written(at *timestamppb.Timestamp) string {
	if at == nil {
		return neverTime
	}
	return at.AsTime().UTC().Format(listTime)
}
