package evolution

import (
	"net/http"
	"slices"
	"strings"

	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// row is an instance in the list. Columns without a value are null.
type row struct {
	ID                      string       `json:"id"`
	Name                    string       `json:"name"`
	ConnectionStatus        string       `json:"connectionStatus"`
	OwnerJid                *string      `json:"ownerJid"`
	ProfileName             *string      `json:"profileName"`
	ProfilePicURL           *string      `json:"profilePicUrl"`
	Integration             string       `json:"integration"`
	Number                  *string      `json:"number"`
	BusinessID              *string      `json:"businessId"`
	Token                   *string      `json:"token"`
	ClientName              string       `json:"clientName"`
	DisconnectionReasonCode *int         `json:"disconnectionReasonCode"`
	DisconnectionObject     *string      `json:"disconnectionObject"`
	DisconnectionAt         *string      `json:"disconnectionAt"`
	CreatedAt               string       `json:"createdAt"`
	UpdatedAt               string       `json:"updatedAt"`
	Chatwoot                *struct{}    `json:"Chatwoot"`
	Proxy                   *proxyRow    `json:"Proxy"`
	Rabbitmq                *struct{}    `json:"Rabbitmq"`
	Nats                    *struct{}    `json:"Nats"`
	Sqs                     *struct{}    `json:"Sqs"`
	Websocket               *struct{}    `json:"Websocket"`
	Setting                 settingRow   `json:"Setting"`
	Count                   messageCount `json:"_count"`
}

type settingRow struct {
	ID string `json:"id"`
	settings
	CreatedAt  string `json:"createdAt"`
	UpdatedAt  string `json:"updatedAt"`
	InstanceID string `json:"instanceId"`
}

// messageCount counts what this server does not keep.
type messageCount struct {
	Message int `json:"Message"`
	Contact int `json:"Contact"`
	Chat    int `json:"Chat"`
}

// filter is what the query of the list asks for; id and number win over names.
type filter struct {
	id, number string
	names      []string
}

func filterOf(r *http.Request) filter {
	q := r.URL.Query()
	f := filter{id: q.Get("instanceId"), number: q.Get("number")}
	for _, name := range q["instanceName"] {
		if name = strings.TrimSpace(name); name != "" {
			f.names = append(f.names, name)
		}
	}
	return f
}

func (f filter) wants(one *pb.Instance) bool {
	switch {
	case f.id != "":
		return one.GetId() == f.id
	case f.number != "":
		return one.GetSettings().GetEvolution().GetNumber() == f.number || one.GetStatus().GetAccount().GetPhone() == f.number
	case len(f.names) > 0:
		return slices.Contains(f.names, one.GetName())
	}
	return true
}

// notFound is the failure of a filter that nothing matches; nil without a filter.
func (f filter) notFound() error {
	switch {
	case f.id != "":
		return exception(http.StatusNotFound, `Instance "`+f.id+`" not found`)
	case f.number != "":
		return exception(http.StatusNotFound, `Instance "`+f.number+`" not found`)
	case len(f.names) == 1:
		return exception(http.StatusNotFound, `Instance "`+f.names[0]+`" not found`)
	case len(f.names) > 1:
		return exception(http.StatusNotFound, `Instances "`+strings.Join(f.names, ", ")+`" not found`)
	}
	return nil
}

// fetchInstances lists every instance, or with an instance's token every one that has
// this token.
func (a *API) fetchInstances(c *call) error {
	f := filterOf(c.r)
	found, err := a.listed(c, f)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		if !c.who.global {
			return errUnauthorized
		}
		if err := f.notFound(); err != nil {
			return err
		}
	}
	secrets, err := a.secretsOf(c, found)
	if err != nil {
		return err
	}
	rows := make([]row, 0, len(found))
	for _, one := range found {
		rows = append(rows, a.row(one, secrets[one.GetId()]))
	}
	return answer(c.w, http.StatusOK, rows)
}

func (a *API) listed(c *call, f filter) (found []*pb.Instance, err error) {
	if !c.who.global {
		for _, id := range c.who.own {
			one, err := a.reach(c.r.Context(), c.who, string(id))
			if err != nil {
				continue // deleted a moment ago
			}
			if f.wants(one) {
				found = append(found, one)
			}
		}
		return found, nil
	}
	for page := (&pb.ListInstancesReply{}); ; {
		page = a.Client.List(&pb.ListInstancesRequest{PageSize: instance.MaxPageSize, PageToken: page.GetNextPageToken()})
		for _, one := range page.GetInstances() {
			if f.wants(one) {
				found = append(found, one)
			}
		}
		if page.GetNextPageToken() == "" {
			return found, nil
		}
	}
}

// secretsOf asks for the secrets of those that show one.
func (a *API) secretsOf(c *call, found []*pb.Instance) (map[string]*pb.InstanceSecrets, error) {
	var ids []string
	for _, one := range found {
		if !a.HideTokens || one.GetProxy() != nil {
			ids = append(ids, one.GetId())
		}
	}
	return a.secrets(c.r.Context(), ids...)
}

func (a *API) row(one *pb.Instance, secrets *pb.InstanceSecrets) row {
	created, updated := isoTime(one.GetCreatedAt().AsTime()), isoTime(one.GetUpdatedAt().AsTime())
	account := one.GetStatus().GetAccount()
	r := row{ID: one.GetId(), Name: one.GetName(), ConnectionStatus: stateOf(one), Integration: integrationOf(one), ClientName: a.ClientName,
		Number: textOrNull(one.GetSettings().GetEvolution().GetNumber()), ProfileName: textOrNull(account.GetName()),
		CreatedAt: created, UpdatedAt: updated, Proxy: proxyOf(one, secrets),
		Setting: settingRow{ID: cuid("setting", one.GetId()), settings: settingsOf(one), CreatedAt: created, UpdatedAt: updated, InstanceID: one.GetId()}}
	if account != nil {
		r.OwnerJid = textOrNull(dialect.EvolutionJID(instance.Account{ID: account.GetId(), Phone: account.GetPhone()}))
	}
	// Clients that are strict want a text here, so a hidden token is an empty one.
	r.Token = new("")
	if !a.HideTokens {
		r.Token = new(secrets.GetToken())
	}
	r.disconnection(one)
	return r
}

// integrationOf is one of the values that clients know.
func integrationOf(one *pb.Instance) string {
	if one.GetProvider() == string(instance.WhatsApp) {
		return integrationBaileys
	}
	return integrationEvolution
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
