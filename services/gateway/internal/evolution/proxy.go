package evolution

import (
	"net/http"
	"strconv"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// proxyRow is a proxy as the product stores and shows it.
type proxyRow struct {
	ID         string `json:"id"`
	Enabled    bool   `json:"enabled"`
	Host       string `json:"host"`
	Port       string `json:"port"`
	Protocol   string `json:"protocol"`
	Username   string `json:"username"`
	Password   string `json:"password"`
	CreatedAt  string `json:"createdAt"`
	UpdatedAt  string `json:"updatedAt"`
	InstanceID string `json:"instanceId"`
}

// proxyOf shows the proxy of an instance; nil when it has none.
func proxyOf(one *pb.Instance, secrets *pb.InstanceSecrets) *proxyRow {
	p := one.GetProxy()
	if p == nil {
		return nil
	}
	return &proxyRow{ID: cuid("proxy", one.GetId()), Enabled: true, Host: p.GetHost(), Port: strconv.FormatUint(uint64(p.GetPort()), 10),
		Protocol: p.GetProtocol(), Username: p.GetUsername(), Password: secrets.GetProxyPassword(),
		CreatedAt: isoTime(one.GetCreatedAt().AsTime()), UpdatedAt: isoTime(one.GetUpdatedAt().AsTime()), InstanceID: one.GetId()}
}

// setProxy gives the instance its way out, or with enabled false takes it away.
func (a *API) setProxy(c *call) error {
	sent, err := c.body()
	if err != nil {
		return err
	}
	if err := proxySchema.check(sent.value); err != nil {
		return err
	}
	wanted := &pb.Proxy{}
	if sent.value["enabled"] == true {
		wanted, err = proxyFrom(text(sent.value, "host"), text(sent.value, "port"), text(sent.value, "protocol"),
			text(sent.value, "username"), text(sent.value, "password"))
		if err != nil {
			return err
		}
		if wanted == nil {
			return errInvalidProxy
		}
	}
	err = a.update(c, &pb.UpdateInstanceRequest{Proxy: wanted})
	if err != nil && instance.AsProblem(err).Code == instance.CodeInvalidRequest {
		return errInvalidProxy
	}
	if err != nil {
		return err
	}
	var out struct {
		Proxy struct {
			InstanceName string `json:"instanceName"`
			Proxy        any    `json:"proxy"`
		} `json:"proxy"`
	}
	out.Proxy.InstanceName, out.Proxy.Proxy = c.one.GetName(), sent.raw
	return answer(c.w, http.StatusCreated, out)
}

// findProxy answers the row, null where there is none.
func (a *API) findProxy(c *call) error {
	if c.one.GetProxy() == nil {
		return answer(c.w, http.StatusOK, nil)
	}
	secrets, err := a.secrets(c.r.Context(), c.one.GetId())
	if err != nil {
		return err
	}
	return answer(c.w, http.StatusOK, proxyOf(c.one, secrets[c.one.GetId()]))
}
