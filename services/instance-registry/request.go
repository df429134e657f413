package registry

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// rules check requests. Each check adds every bad field and returns the request
// in the form in which it is stored; where a field is bad, that has no meaning.
type rules struct {
	offered  []instance.Provider
	networks instance.Networks
}

// maxWebhooks is how many webhooks a creation may bring.
const maxWebhooks = 50

// createSpec is a creation in the form in which it is stored.
type createSpec struct {
	instance      *pb.Instance // without id and times
	token         string       // empty: to be made
	proxyPassword string
	label         string
	webhooks      []webhookSpec
}

func (r rules) create(f *instance.FieldErrors, req *pb.CreateInstanceRequest) createSpec {
	provider := instance.CheckProvider(f, "provider", req.GetProvider())
	if provider.Valid() && !slices.Contains(r.offered, provider) {
		f.Add("provider", "%s", notOffered(provider, r.offered))
	}
	if req.GetNumber() != 0 {
		instance.CheckNumber(f, "number", req.GetNumber())
	}
	if req.GetToken() != "" {
		instance.CheckToken(f, "token", req.GetToken())
	}
	instance.CheckIdempotencyKey(f, "idempotencyKey", req.GetIdempotencyKey())
	spec := createSpec{
		instance: &pb.Instance{
			Name:      instance.CheckName(f, "name", req.GetName()),
			Number:    req.GetNumber(),
			Provider:  string(provider),
			QrTimeout: instance.CheckQRTimeout(f, "qrTimeout", req.GetQrTimeout()),
			Phone:     optionalPhone(f, "phone", req.GetPhone()),
			Settings:  settings(f, req.GetSettings()),
		},
		token: req.GetToken(),
		label: instance.CheckLabel(f, "label", req.GetLabel()),
	}
	if req.GetProxy() != nil {
		spec.instance.Proxy, spec.proxyPassword = proxy(f, req.GetProxy(), provider)
	}
	if len(req.GetWebhooks()) > maxWebhooks {
		f.Add("webhooks", "must have at most %d webhooks", maxWebhooks)
	}
	for i, w := range req.GetWebhooks() {
		spec.webhooks = append(spec.webhooks, r.webhook(f, fmt.Sprintf("webhooks[%d]", i), w))
	}
	return spec
}

func notOffered(p instance.Provider, offered []instance.Provider) string {
	if p == instance.Simulated {
		return "the simulated messenger does not run here: start the program with --lab, or set PAIRGATE_SIMULATED_ENDPOINT"
	}
	names := make([]string, len(offered))
	for i, o := range offered {
		names[i] = string(o)
	}
	if len(names) == 0 {
		return "no worker here can run it, and no other provider is offered: set PAIRGATE_PROVIDERS to what the workers can run"
	}
	return "no worker here can run it; offered are " + strings.Join(names, ", ") + " (PAIRGATE_PROVIDERS)"
}

func optionalPhone(f *instance.FieldErrors, field, phone string) string {
	if phone == "" {
		return ""
	}
	return instance.CheckPhone(f, field, phone)
}

// proxy returns the proxy without its password, and the password.
func proxy(f *instance.FieldErrors, p *pb.Proxy, provider instance.Provider) (*pb.Proxy, string) {
	c := instance.CheckProxy(f, "proxy", instance.Proxy{Protocol: p.GetProtocol(), Host: p.GetHost(), Port: p.GetPort(),
		Username: p.GetUsername(), Password: p.GetPassword()}, provider)
	return &pb.Proxy{Protocol: c.Protocol, Host: c.Host, Port: c.Port, Username: c.Username}, c.Password
}

// removesProxy says whether an update's proxy stands for none.
func removesProxy(p *pb.Proxy) bool {
	return p.GetHost() == "" && p.GetProtocol() == "" && p.GetPort() == 0
}

func checkRef(f *instance.FieldErrors, ref string) {
	if strings.TrimSpace(ref) == "" {
		f.Add("ref", "is required: the id, number or name of an instance")
	}
}

// update checks what can be checked without the record; a proxy needs to know
// the provider and is checked against the record.
func (r rules) update(f *instance.FieldErrors, req *pb.UpdateInstanceRequest) {
	checkRef(f, req.GetRef())
	if req.Name != nil {
		instance.CheckName(f, "name", req.GetName())
	}
	if req.QrTimeout != nil {
		instance.CheckQRTimeout(f, "qrTimeout", req.GetQrTimeout())
	}
	optionalPhone(f, "phone", req.GetPhone())
	settings(f, req.GetSettings())
	if p := req.GetProxy(); p != nil && !removesProxy(p) {
		proxy(f, p, instance.WhatsApp)
	}
}

func checkConnect(f *instance.FieldErrors, req *pb.ConnectRequest) (instance.Method, string) {
	checkRef(f, req.GetRef())
	method := instance.CheckMethod(f, "method", req.GetMethod())
	instance.CheckWindow(f, "window", req.GetWindow())
	return method, optionalPhone(f, "phone", req.GetPhone())
}

func checkList(f *instance.FieldErrors, req *pb.ListInstancesRequest) (after instance.ID, size int) {
	instance.CheckPhase(f, "phase", req.GetPhase())
	if req.GetProvider() != "" {
		instance.CheckProvider(f, "provider", req.GetProvider())
	}
	after, ok := instance.ParsePageToken(req.GetPageToken())
	if !ok {
		f.Add("pageToken", "must be a nextPageToken of an earlier answer")
	}
	return after, int(instance.CheckPageSize(f, "pageSize", req.GetPageSize()))
}

// Limits of what is handed to a session without being stored, in bytes.
const (
	maxPassword        = 1024
	maxPasskeyResponse = 64 << 10
)

func checkPassword(f *instance.FieldErrors, req *pb.PasswordRequest) {
	checkRef(f, req.GetRef())
	if n := len(req.GetPassword()); n < 1 || n > maxPassword {
		f.Add("password", "is required, at most %d bytes", maxPassword)
	}
}

func checkPasskey(f *instance.FieldErrors, req *pb.PasskeyRequest) {
	checkRef(f, req.GetRef())
	response := req.GetResponse()
	switch {
	case response == "" && !req.GetConfirm():
		f.Add("response", "is required, unless confirm is true")
	case response != "" && req.GetConfirm():
		f.Add("confirm", "must not be true beside a response")
	case len(response) > maxPasskeyResponse:
		f.Add("response", "must have at most %d bytes", maxPasskeyResponse)
	case response != "" && !json.Valid([]byte(response)):
		f.Add("response", "must be the authenticator's answer as JSON")
	}
}

func checkRotateToken(f *instance.FieldErrors, req *pb.RotateTokenRequest) {
	checkRef(f, req.GetRef())
	if req.GetToken() != "" {
		instance.CheckToken(f, "token", req.GetToken())
	}
}

func checkResolveToken(f *instance.FieldErrors, req *pb.ResolveTokenRequest) {
	instance.CheckTokenHash(f, "tokenHash", req.GetTokenHash())
}

// maxRevealed is how many instances one request shows.
const maxRevealed = 500

func checkReveal(f *instance.FieldErrors, req *pb.RevealRequest) {
	if n := len(req.GetInstanceIds()); n > maxRevealed {
		f.Add("instanceIds", "must have at most %d ids", maxRevealed)
		return
	}
	for i, id := range req.GetInstanceIds() {
		if parsed, ok := instance.ParseID(id); !ok || string(parsed) != id {
			f.Add(fmt.Sprintf("instanceIds[%d]", i), "must be the id of an instance")
		}
	}
}

func checkSettings(f *instance.FieldErrors, req *pb.UpdateSettingsRequest) {
	instance.CheckWhatsAppVersion(f, "whatsappVersion", req.GetWhatsappVersion())
}
