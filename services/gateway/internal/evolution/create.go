package evolution

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// The values of "integration".
const (
	integrationBaileys   = "WHATSAPP-BAILEYS"
	integrationBusiness  = "WHATSAPP-BUSINESS"
	integrationEvolution = "EVOLUTION"
	// integrationMAX is Pairgate's own. Lists show EVOLUTION for it, because strict
	// clients refuse a whole list for one value that they do not know.
	integrationMAX = "MAX"
)

// QR codes of the product: the quiet zone, the correction of errors, and a size that
// gives a module four pixels.
const (
	qrLevel  = "H"
	qrMargin = 3
	qrSize   = 400
)

type createdInstance struct {
	InstanceName          string  `json:"instanceName"`
	InstanceID            string  `json:"instanceId"`
	Integration           string  `json:"integration"`
	WebhookWaBusiness     *string `json:"webhookWaBusiness"`
	AccessTokenWaBusiness string  `json:"accessTokenWaBusiness"`
	Status                string  `json:"status"`
}

type created struct {
	Instance  createdInstance `json:"instance"`
	Hash      string          `json:"hash"`
	Webhook   createdWebhook  `json:"webhook"`
	WebSocket echoed          `json:"websocket"`
	RabbitMQ  echoed          `json:"rabbitmq"`
	NATS      echoed          `json:"nats"`
	SQS       echoed          `json:"sqs"`
	Settings  settings        `json:"settings"`
	QRCode    *qrCode         `json:"qrcode,omitempty"`
}

// createdWebhook repeats what was asked for.
type createdWebhook struct {
	URL      any `json:"webhookUrl,omitempty"`
	Headers  any `json:"webhookHeaders,omitempty"`
	ByEvents any `json:"webhookByEvents,omitempty"`
	Base64   any `json:"webhookBase64,omitempty"`
}

// echoed repeats what was asked of another way of events out of the product.
type echoed struct {
	Enabled any `json:"enabled,omitempty"`
	Events  any `json:"events,omitempty"`
}

// create makes an instance and, with "qrcode", opens its pairing window and waits for
// the first code.
func (a *API) create(c *call) error {
	sent, err := c.body()
	if err != nil {
		return err
	}
	object := sent.value
	mergeQuery(object, c.r.URL.Query())
	if err := a.nameIsFree(c, strings.TrimSpace(text(object, "instanceName"))); err != nil {
		return err
	}
	req, phone, err := a.creation(object)
	if err != nil {
		return err
	}
	var reply pb.CreateInstanceReply
	if err := a.Client.Request(c.r.Context(), bus.SubjectInstancesCreate, req, &reply); err != nil {
		switch instance.AsProblem(err).Code {
		case instance.CodeNameTaken:
			return nameTaken(strings.TrimSpace(req.GetName()))
		case instance.CodeInvalidRequest:
			if onlyProxy(instance.AsProblem(err)) {
				return errInvalidProxy
			}
		}
		return err
	}
	c.one = reply.GetInstance()
	a.Client.SeeInstance(c.r.Context(), c.id(), func(rec *pb.InstanceRecord) bool { return rec != nil })
	out := created{
		Instance: createdInstance{InstanceName: c.one.GetName(), InstanceID: c.one.GetId(), Integration: text(object, "integration"), Status: stateOf(c.one)},
		Hash:     reply.GetToken(), Settings: settingsOf(c.one), Webhook: repeated(object["webhook"]),
		WebSocket: repeatedBus(object["websocket"]), RabbitMQ: repeatedBus(object["rabbitmq"]), NATS: repeatedBus(object["nats"]), SQS: repeatedBus(object["sqs"]),
	}
	if object["qrcode"] == true {
		shown, err := a.pair(c, phone)
		if err != nil {
			// The instance is there, and its token is told in this answer.
			p := instance.AsProblem(err)
			shown.qr, shown.state = qrCode{reason: string(p.Code), message: p.Detail}, out.Instance.Status
		}
		out.QRCode, out.Instance.Status = &shown.qr, shown.state
	}
	return answer(c.w, http.StatusCreated, out)
}

// nameIsFree refuses a name in use before anything else of the request is looked at, as the product does.
func (a *API) nameIsFree(c *call, name string) error {
	if name == "" {
		return nil
	}
	if _, err := a.reach(c.r.Context(), caller{global: true}, name); err == nil {
		return nameTaken(name)
	} else if f, ok := asFailure(err); !ok || f.status != http.StatusNotFound {
		return err
	}
	return nil
}

// creation turns the body into a request, and says the phone to be linked by a code;
// empty for none. The error is a failure that names what is missing or wrong.
func (a *API) creation(object map[string]any) (req *pb.CreateInstanceRequest, phone string, err error) {
	if err := createSchema.check(object); err != nil {
		return nil, "", err
	}
	if err := nameIsThere(object); err != nil {
		return nil, "", err
	}
	provider, err := providerOf(object)
	if err != nil {
		return nil, "", err
	}
	if text(object, "chatwootAccountId") != "" && text(object, "chatwootToken") != "" && text(object, "chatwootUrl") != "" {
		return nil, "", badRequest("Chatwoot is not enabled")
	}
	number := text(object, "number")
	if object["qrcode"] == true && number != "" {
		var ok bool
		if phone, ok = phoneOf(number); !ok {
			return nil, "", badRequest(wantedNumber)
		}
	}
	req = &pb.CreateInstanceRequest{Name: text(object, "instanceName"), Provider: string(provider), Token: text(object, "token"),
		Settings: &pb.InstanceSettings{
			Qr:        &pb.QrStyle{Foreground: a.QRColor, Level: qrLevel, Margin: qrMargin, Size: qrSize},
			Evolution: settingsFrom(object, &pb.EvolutionSettings{Integration: text(object, "integration"), Number: number}),
		}}
	if req.Token == "" {
		req.Token = strings.ToUpper(uuid.NewString())
	}
	if req.Proxy, err = proxyFrom(text(object, "proxyHost"), text(object, "proxyPort"), text(object, "proxyProtocol"),
		text(object, "proxyUsername"), text(object, "proxyPassword")); err != nil {
		return nil, "", err
	}
	if hook, ok := object["webhook"].(map[string]any); ok && text(hook, "url") != "" {
		wish, err := wishOf(hook)
		if err != nil {
			return nil, "", err
		}
		wish.enabled = true
		req.Webhooks = []*pb.WebhookSpec{wish.spec()}
	}
	return req, phone, nil
}

// nameIsThere names everything that a creation can not do without, where the name is missing.
func nameIsThere(object map[string]any) error {
	switch {
	case strings.TrimSpace(text(object, "instanceName")) != "":
		return nil
	case object["instanceName"] != nil:
		return invalid([]string{`The "instanceName" cannot be empty`})
	}
	missing := []string{`instance requires property "instanceName"`}
	if object["integration"] == nil {
		missing = append(missing, `instance requires property "integration"`)
	}
	return invalid(missing)
}

func providerOf(object map[string]any) (instance.Provider, error) {
	switch integration := text(object, "integration"); integration {
	case integrationBaileys:
		return instance.WhatsApp, nil
	case integrationMAX:
		return instance.MAX, nil
	case integrationBusiness, integrationEvolution:
		for _, name := range []string{"token", "number"} {
			if integration == integrationBusiness && text(object, name) == "" {
				return "", badRequest(name + " is required")
			}
		}
		return "", badRequest("This server does not offer the integration " + integration + "; use " + integrationBaileys)
	}
	return "", badRequest("Invalid integration")
}

// wantedNumber says what a number to be linked looks like.
const wantedNumber = "number must be a phone number in international form: country code first, 5 to 15 digits"

// phoneOf returns the phone of a number, which clients also send as a JID.
func phoneOf(number string) (phone string, ok bool) {
	number, _, _ = strings.Cut(number, "@")
	return instance.PhoneDigits(number)
}

func repeated(v any) (w createdWebhook) {
	object, _ := v.(map[string]any)
	w.URL, w.Headers = object["url"], object["headers"]
	w.ByEvents, _ = first(object, byEventsNames...)
	w.Base64, _ = first(object, base64Names...)
	return w
}

func repeatedBus(v any) echoed {
	object, _ := v.(map[string]any)
	return echoed{Enabled: object["enabled"], Events: object["events"]}
}

var errInvalidProxy = badRequest("Invalid proxy")

// onlyProxy says that nothing but the proxy is wrong.
func onlyProxy(p *instance.Problem) bool {
	for _, e := range p.Errors {
		if e.Field != "proxy" && !strings.HasPrefix(e.Field, "proxy.") {
			return false
		}
	}
	return len(p.Errors) > 0
}

// proxyFrom reads a proxy; nil where host, port or protocol is missing, which the
// product takes for none. The error is errInvalidProxy.
func proxyFrom(host, port, protocol, username, password string) (*pb.Proxy, error) {
	if host == "" || port == "" || protocol == "" {
		return nil, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, errInvalidProxy
	}
	return &pb.Proxy{Protocol: protocol, Host: host, Port: uint32(n), Username: username, Password: password}, nil
}
