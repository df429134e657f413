package format

import (
	"context"
	"maps"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/policy"
	"pairgate.dev/services/webhook-dispatcher/internal/sender"
)

// Evolution tells of events as Evolution API 2.3.7 does: in its words, its order and
// with its members, times in UTC. An event may make several notifications.
type Evolution struct {
	Delivery policy.Policy
	// ServerURL is shown as server_url; empty for none.
	ServerURL string
	// Token returns the token that is shown as apikey; nil when none is shown.
	Token func(ctx context.Context, id instance.ID) (string, error)
	// Hooks returns the endpoints of an instance.
	Hooks func(id instance.ID) []*pb.EndpointRecord
	// Past looks up what an event does not say itself.
	Past Past
	// Global is the id of the endpoint that the configuration makes; empty for none.
	Global string
}

// Past answers what an event does not say itself.
type Past interface {
	// PairingCode returns the pairing code that was last published of the instance, nil
	// for none.
	PairingCode(ctx context.Context, id instance.ID) (*pb.PairingCode, error)
	// Picture returns the picture that was last published of the instance, nil for none.
	Picture(ctx context.Context, id instance.ID) (*pb.Qr, error)
	// Account returns the account of the last status before the sequence that has one, nil for none.
	Account(ctx context.Context, id instance.ID, before uint64) (*pb.Account, error)
}

const (
	// userAgent is how axios, which Evolution API sends with, names itself.
	userAgent       = "axios/1.7.9"
	accept          = "application/json, text/plain, */*"
	headerJWTKey    = "jwt_key"
	headerAuth      = "Authorization"
	optionByEvents  = "byEvents"
	evolutionMedia  = "application/json"
	evolutionMillis = "2006-01-02T15:04:05.000Z"
)

type evolutionBody struct {
	Event       string  `json:"event"`
	Instance    string  `json:"instance"`
	Data        any     `json:"data"`
	Destination string  `json:"destination"`
	DateTime    string  `json:"date_time"`
	Sender      string  `json:"sender,omitempty"`
	ServerURL   string  `json:"server_url,omitempty"`
	APIKey      *string `json:"apikey"`
}

// Parts implements Format.
func (e Evolution) Parts(ctx context.Context, ev *pb.Event) ([]Part, error) {
	told, err := e.told(ctx, ev)
	if err != nil || len(told.notes) == 0 {
		return nil, err
	}
	body := evolutionBody{Instance: ev.GetInstance().GetName(), DateTime: isoTime(ev.GetTime().AsTime()), ServerURL: e.ServerURL}
	body.Sender = jid(told.account)
	if e.Token != nil {
		token, err := e.Token(ctx, instance.ID(ev.GetInstance().GetId()))
		if err != nil {
			return nil, err
		}
		if token != "" {
			body.APIKey = &token
		}
	}
	parts := make([]Part, 0, len(told.notes))
	for _, n := range told.notes {
		parts = append(parts, Part{Name: n.event, Word: dialect.EvolutionName(n.event), MediaType: evolutionMedia, Expires: n.expires,
			Body: func(hook *pb.Webhook) ([]byte, error) {
				b := body
				b.Event, b.Data, b.Destination = n.event, n.data, e.destination(hook, ev, n.event)
				return encode(b)
			}})
	}
	return parts, nil
}

// destination is the URL of the instance's own endpoint, without what its switch adds;
// the global endpoint shows its own only where the instance has none.
func (e Evolution) destination(hook *pb.Webhook, ev *pb.Event, event string) string {
	if e.Global == "" || hook.GetId() != e.Global {
		return hook.GetUrl()
	}
	for _, rec := range e.Hooks(instance.ID(ev.GetInstance().GetId())) {
		if own := rec.GetWebhook(); own.GetEnabled() && own.GetFormat() == string(instance.FormatEvolution) {
			return own.GetUrl()
		}
	}
	return hook.GetUrl() + "/" + dialect.EvolutionPath(event)
}

// Dress implements Format.
func (e Evolution) Dress(req *sender.Request, d Dressing) {
	if d.Hook.GetFormatOptions()[optionByEvents] == "true" && d.Part != "" {
		// Evolution API cleans nothing up, and receivers have the routes that come of it.
		req.URL += "/" + dialect.EvolutionPath(d.Part)
	}
	req.UserAgent = userAgent
	headers := maps.Clone(req.Header)
	req.Header = nil
	req.SetHeader("Accept", accept)
	for name, value := range headers {
		if name != headerJWTKey {
			req.SetHeader(name, value)
		}
	}
	if key := headers[headerJWTKey]; key != "" {
		req.SetHeader(headerAuth, "Bearer "+evolutionJWT(key, d.Now))
	}
}

// Policy implements Format.
func (e Evolution) Policy() policy.Policy { return e.Delivery }

func isoTime(t time.Time) string { return t.UTC().Format(evolutionMillis) }

// jid is empty for no account.
func jid(a *pb.Account) string {
	if a == nil {
		return ""
	}
	return dialect.EvolutionJID(*bus.AccountFromProto(a))
}
