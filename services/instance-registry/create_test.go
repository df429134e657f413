package registry

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	pb "pairgate.dev/proto/pairgate/v1"
)

func TestCreate(t *testing.T) {
	w := serving(t)
	reply := w.made(t, &pb.CreateInstanceRequest{Name: " shop ", Provider: "simulated", Phone: "+7 (900) 123-45-67",
		Settings: &pb.InstanceSettings{Qr: &pb.QrStyle{Level: "h"}}, Label: "Shop"})
	i := reply.GetInstance()
	if i.GetName() != "shop" || i.GetPhone() != "79001234567" || i.GetQrTimeout() != 120 || i.GetSettings().GetQr().GetLevel() != "H" ||
		i.GetSpecVersion() != 1 || i.GetRequest() != 0 || i.GetStatus().GetPhase() != "idle" || i.GetStatus().GetReason() != "created" {
		t.Errorf("instance %v", i)
	}
	if n := i.GetNumber(); n/1_000_000 != 9000 {
		t.Errorf("number %d", n)
	}
	if id, ok := instance.ParseID(i.GetId()); !ok || string(id) != i.GetId() || i.GetId()[14] != '7' {
		t.Errorf("id %q is no UUIDv7", i.GetId())
	}
	if token := reply.GetToken(); len(token) != 50 || strings.Trim(token, "0123456789abcdef") != "" {
		t.Errorf("token of %d characters", len(token))
	}
	for _, ref := range []string{i.GetId(), strings.ToUpper(i.GetId()), fmt.Sprint(i.GetNumber()), "shop", " shop "} {
		if got := must[pb.GetInstanceReply](t, w, bus.SubjectInstancesGet, &pb.GetInstanceRequest{Ref: ref}); got.GetInstance().GetId() != i.GetId() {
			t.Errorf("ref %q leads to %q", ref, got.GetInstance().GetId())
		}
	}
	for _, ref := range []string{"other", "1234567890", "01890a5d-ac96-774b-bcce-b302099a8057", "Shop", "a/b"} {
		refused(t, w, instance.CodeInstanceNotFound, bus.SubjectInstancesGet, &pb.GetInstanceRequest{Ref: ref})
	}
	w.waitKinds(t, i.GetId(), "created")
}

func TestNoSecretIsStoredInPlainText(t *testing.T) {
	w := serving(t)
	const token, password, secret, header = "token-that-is-secret", "proxy-that-is-secret", "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "header-that-is-secret"
	reply := w.made(t, &pb.CreateInstanceRequest{Name: "shop", Provider: "whatsapp", Token: token, IdempotencyKey: "k",
		Proxy:    &pb.Proxy{Protocol: "socks5", Host: "proxy.example.com", Port: 1080, Username: "u", Password: password},
		Webhooks: []*pb.WebhookSpec{{Url: "https://example.com/hook", Secret: new(secret), Headers: map[string]string{"Authorization": header}}}})
	if reply.GetInstance().GetProxy().GetPassword() != "" {
		t.Error("the reply shows the proxy's password")
	}
	for name, stream := range map[string]string{"instances": "KV_INSTANCES", "endpoints": "KV_ENDPOINTS", "idempotency": "KV_IDEMPOTENCY"} {
		s, err := w.conn.JetStream().Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
			msg, err := s.GetMsg(t.Context(), seq)
			if err != nil {
				continue // replaced meanwhile
			}
			for _, plain := range []string{token, password, secret, header} {
				if bytes.Contains(msg.Data, []byte(plain)) || strings.Contains(msg.Subject, plain) {
					t.Errorf("%s holds a secret in plain text under %s", name, msg.Subject)
				}
			}
		}
	}
	rec, err := w.load(t.Context(), instance.ID(reply.GetInstance().GetId()))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.ring.Open(rec.GetSealedProxyPassword(), seal.ForProxyPassword(string(rec.id()))); err != nil || string(got) != password {
		t.Errorf("the proxy's password does not open: %v", err)
	}
}

// Of a hundred creations of one name, or of one number, exactly one wins, and the others leave nothing.
func TestConcurrentCreationsOfOneName(t *testing.T) {
	w := serving(t)
	race(t, w, instance.CodeNameTaken, func(int) *pb.CreateInstanceRequest { return simple("shop") })
	race(t, w, instance.CodeNumberTaken, func(n int) *pb.CreateInstanceRequest {
		return &pb.CreateInstanceRequest{Name: fmt.Sprint("n", n), Provider: "simulated", Number: 7103000001}
	})
	if keys := w.keys(t, bus.NameKeys, bus.NumberKeys, bus.TokenKeys, bus.InstanceKeys); len(keys) != 8 {
		t.Errorf("%d keys are left, want 8: %v", len(keys), keys)
	}
}

func race(t *testing.T, w *world, lost instance.Code, request func(n int) *pb.CreateInstanceRequest) {
	t.Helper()
	var mu sync.Mutex
	won := 0
	var wg sync.WaitGroup
	for n := range 100 {
		wg.Go(func() {
			_, p := ask[pb.CreateInstanceReply](t, w, bus.SubjectInstancesCreate, request(n))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case p == nil:
				won++
			case p.Code != lost || len(p.Errors) != 1:
				t.Errorf("%v, want %s", p, lost)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d creations won, want 1", won)
	}
}

// A name must not lead to another instance's number, whichever came first.
func TestNameThatIsANumber(t *testing.T) {
	w := serving(t)
	first := w.made(t, &pb.CreateInstanceRequest{Name: "7103000001", Provider: "simulated"})
	refused(t, w, instance.CodeNumberTaken, bus.SubjectInstancesCreate, &pb.CreateInstanceRequest{Name: "a", Provider: "simulated", Number: 7103000001})
	number := fmt.Sprint(first.GetInstance().GetNumber())
	refused(t, w, instance.CodeNameTaken, bus.SubjectInstancesCreate, simple(number))
	refused(t, w, instance.CodeNameTaken, bus.SubjectInstancesUpdate, &pb.UpdateInstanceRequest{Ref: w.made(t, simple("b")).GetInstance().GetId(), Name: &number})
	w.made(t, &pb.CreateInstanceRequest{Name: "7103000002", Provider: "simulated", Number: 7103000002})
}

func TestEveryBadFieldIsNamedAtOnce(t *testing.T) {
	w := serving(t)
	body := `{"name":"a/b","provider":"telegram","number":12,"qrTimeout":5,"phone":"x","token":"short","surprise":1,"label":7,
		"webhooks":[{"url":"https://ok.example/"},{"url":"http://example.com/","secret":"x","events":["nonsense"],"format":"xml","headers":{"Host":"a"},"enabled":"yes"}],
		"settings":{"deviceName":"` + strings.Repeat("x", 51) + `","qr":{"foreground":"red","level":"Z","size":1,"margin":99}},
		"proxy":{"protocol":"ftp","host":"","port":0},"idempotencyKey":"a\tb"}`
	msg, err := w.conn.NATS().RequestWithContext(t.Context(), bus.SubjectInstancesCreate, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	var p pb.Problem
	if err := bus.DecodeJSON(msg.Data, &p); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range p.GetErrors() {
		got = append(got, e.GetField())
	}
	slices.Sort(got)
	want := []string{"idempotencyKey", "label", "name", "number", "phone", "provider", "proxy.host", "proxy.port", "proxy.protocol", "qrTimeout",
		"settings.deviceName", "settings.qr.foreground", "settings.qr.level", "settings.qr.margin", "settings.qr.size", "surprise", "token",
		"webhooks[1].enabled", "webhooks[1].events[0]", "webhooks[1].format", "webhooks[1].headers.Host", "webhooks[1].secret", "webhooks[1].url"}
	if !slices.Equal(got, want) || p.GetStatus() != 400 || p.GetCode() != "invalid_request" {
		t.Errorf("status %d %s, fields\n%v\nwant\n%v", p.GetStatus(), p.GetCode(), got, want)
	}
	if keys := w.keys(t, ">"); len(keys) != 0 {
		t.Errorf("a refused creation left %v", keys)
	}
}

// An instance that no worker can run would stay idle without a word.
func TestProviderThatNobodyRunsIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		providers []instance.Provider
		simulated string
		refused   []instance.Provider
	}{
		"by default":             {refused: []instance.Provider{instance.MAX, instance.Simulated}},
		"with the simulated one": {simulated: "127.0.0.1:1", refused: []instance.Provider{instance.MAX}},
		"as named": {providers: []instance.Provider{instance.Simulated}, simulated: "127.0.0.1:1",
			refused: []instance.Provider{instance.WhatsApp, instance.MAX}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig()
			cfg.Providers, cfg.SimulatedEndpoint = test.providers, test.simulated
			w := servingWith(t, cfg)
			for _, provider := range instance.Providers() {
				request := &pb.CreateInstanceRequest{Name: "of " + string(provider), Provider: string(provider)}
				if !slices.Contains(test.refused, provider) {
					w.made(t, request)
					continue
				}
				p := refused(t, w, instance.CodeInvalidRequest, bus.SubjectInstancesCreate, request)
				if len(p.Errors) != 1 || p.Errors[0].Field != "provider" || !strings.Contains(p.Errors[0].Message, "PAIRGATE_") {
					t.Errorf("%s: %v", provider, p)
				}
			}
		})
	}
}
