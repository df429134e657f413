package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/service"
	pb "pairgate.dev/proto/pairgate/v1"
	gateway "pairgate.dev/services/gateway"
)

// evolution sends a request as clients of Evolution API do.
func (w *world) evolution(method, path, key, body string) answer {
	w.Helper()
	header := http.Header{}
	if key != "" {
		header.Set("apikey", key)
	}
	return w.send(method, path, "", body, header)
}

func (a answer) is(status int, body string) {
	a.Helper()
	if a.status != status || string(a.body) != body {
		a.Errorf("%d %s; want %d %s", a.status, a.body, status, body)
	}
}

// connect opens one window as long as the product's, and whoever asks again extends it.
func TestEvolutionConnectOpensOneWindowAndExtendsIt(t *testing.T) {
	w := start(t, func(c *gateway.Config, _ *gateway.Deps) { c.Evolution.QRLimit = 4 })
	m := w.make("shop")
	var touched atomic.Int64
	sub, err := w.conn.NATS().Subscribe(bus.SessionSubject(m.id.Partition(), m.id, bus.VerbTouch), func(*nats.Msg) { touched.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection ends with the test
	if err := w.conn.NATS().Flush(); err != nil {
		t.Fatal(err)
	}
	w.registry.after = func(id instance.ID, request uint64) {
		for _, ev := range []*pb.Event{status(id, instance.Pairing, 1, request), code(id, "A1", 1, 3), picture(id, "A1", 1, 3)} {
			w.publish(ev)
		}
	}
	const shown = `{"pairingCode":null,"code":"A1","base64":"data:image/png;base64,cGljdHVyZSBvZiBBMQ==","count":3}`
	for range 3 {
		w.evolution(http.MethodGet, "/instance/connect/shop", adminKey, "").is(http.StatusOK, shown)
	}
	w.evolution(http.MethodGet, "/instance/connectionState/shop", m.token, "").is(http.StatusOK, `{"instance":{"instanceName":"shop","state":"connecting"}}`)
	w.registry.mu.Lock()
	last := w.registry.last[bus.SubjectInstancesConnect].(*pb.ConnectRequest)
	w.registry.mu.Unlock()
	if connects := w.registry.count(bus.SubjectInstancesConnect); connects != 1 || last.GetWindow() != 180 {
		t.Errorf("%d connects, the last for %d s", connects, last.GetWindow())
	}
	bustest.CheckFor(t, patience, func() error {
		if touched.Load() != 1 {
			return fmt.Errorf("the window was extended %d times", touched.Load())
		}
		return nil
	})
	// A number that nobody has asked for yet wants a code to be typed.
	w.registry.after = func(id instance.ID, request uint64) {
		for _, ev := range []*pb.Event{status(id, instance.Pairing, 2, request), code(id, "B1", 2, 1), picture(id, "B1", 2, 1), typed(id, "ABCD-1234", 2)} {
			w.publish(ev)
		}
	}
	for range 2 {
		w.evolution(http.MethodGet, "/instance/connect/shop?number=15550100@s.whatsapp.net", m.token, "").is(http.StatusOK,
			`{"pairingCode":"ABCD1234","code":"B1","base64":"data:image/png;base64,cGljdHVyZSBvZiBCMQ==","count":1}`)
	}
	if n := w.registry.count(bus.SubjectInstancesConnect); n != 2 {
		t.Errorf("%d connects", n)
	}
}

// While the registry is away, what fails says so, in the shape of the product.
func TestEvolutionFailuresHaveTheProductsShape(t *testing.T) {
	w := start(t)
	m := w.make("shop")
	w.evolution(http.MethodGet, "/instance/connectionState/shop", m.token, "").is(http.StatusOK, `{"instance":{"instanceName":"shop","state":"close"}}`)
	w.registry.stop()
	failed := w.evolution(http.MethodGet, "/instance/connect/shop", m.token, "")
	if failed.status != http.StatusOK || !strings.HasPrefix(string(failed.body), `{"error":true,"message":"`) || strings.Contains(string(failed.body), "[object") {
		t.Errorf("connect: %d %s", failed.status, failed.body)
	}
	for _, a := range []answer{
		w.evolution(http.MethodPost, "/instance/create", adminKey, `{"instanceName":"new","integration":"WHATSAPP-BAILEYS"}`),
		w.evolution(http.MethodDelete, "/instance/delete/shop", m.token, ""),
		w.evolution(http.MethodGet, "/webhook/find/shop", m.token, ""),
		w.evolution(http.MethodGet, "/instance/connectionState/shop", "a-token-that-is-not-known-here", ""),
	} {
		if a.status != http.StatusServiceUnavailable || !strings.HasPrefix(string(a.body), `{"status":503,"error":"Service Unavailable","response":{"message":["`) {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
}

// Guessing keys is slow, and says so in the shape of the product.
func TestEvolutionKeysAreNotGuessedFast(t *testing.T) {
	w := start(t, func(c *gateway.Config, _ *gateway.Deps) { c.RateLimit = 2 })
	var refused answer
	for n := range 20 {
		if refused = w.evolution(http.MethodGet, "/instance/fetchInstances", fmt.Sprintf("a-guess-of-a-key-%d", n), ""); refused.status != http.StatusUnauthorized {
			break
		}
	}
	if refused.status != http.StatusTooManyRequests || refused.header.Get("Retry-After") == "" ||
		!strings.HasPrefix(string(refused.body), `{"status":429,"error":"Too Many Requests","response":{"message":["`) {
		t.Errorf("%d %v %s", refused.status, refused.header, refused.body)
	}
}

// What could not be used is refused at the start, and named.
func TestEvolutionConfigurationIsChecked(t *testing.T) {
	var cfg gateway.Config
	err := service.Parse([]string{"QRCODE_LIMIT=2000", "QRCODE_COLOR=#ffffff", "CORS_ORIGIN=example.com", "CONFIG_SESSION_PHONE_VERSION=2.2413.51"}, &cfg)
	if err == nil {
		t.Fatal("a bad configuration is accepted")
	}
	for _, want := range []string{"PAIRGATE_EVOLUTION_QRCODE_LIMIT: must be a whole number from 1 to 1920", "PAIRGATE_EVOLUTION_QRCODE_COLOR: must be a dark colour",
		"PAIRGATE_EVOLUTION_CORS_ORIGINS: must be origins", "PAIRGATE_WHATSAPP_VERSION: must be 2.3000.<number>"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if err := service.Parse([]string{"QRCODE_LIMIT=1920", "QRCODE_COLOR=#175197", "CORS_ORIGIN=https://example.com/, *", "SERVER_DISABLE_MANAGER=true"}, &cfg); err != nil {
		t.Error(err)
	}
	if c := cfg.Evolution; c.QRLimit != 1920 || c.QRColor != "#175197" || !c.HideManager || c.ClientName != "evolution" || c.Origins[0] != "https://example.com" {
		t.Errorf("%+v", c)
	}
}
