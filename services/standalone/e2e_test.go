package standalone_test

import (
	"bytes"
	"fmt"
	"image/png"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/standalone/internal/e2e"
)

var binaries e2e.Binaries

func TestMain(m *testing.M) {
	code := m.Run()
	binaries.Remove()
	os.Exit(code)
}

// decode reads a QR code from a PNG with a decoder that is not ours.
func decode(t *testing.T, picture []byte) string {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		t.Fatal(err)
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true})
	if err != nil {
		t.Fatalf("the picture does not decode: %v", err)
	}
	return result.GetText()
}

// addPhone makes an account of the simulated messenger in the lab.
func addPhone(t *testing.T, d *e2e.Deployment, phone string) {
	t.Helper()
	addPhoneOf(t, d, instance.Simulated, phone)
}

// addPhoneOf makes an account in the lab.
func addPhoneOf(t *testing.T, d *e2e.Deployment, messenger instance.Provider, phone string) {
	t.Helper()
	if _, err := d.Lab.AddAccount(t.Context(), labapi.NewAccount{Provider: string(messenger), Phone: phone, Name: "Ann"}); err != nil {
		t.Fatal(err)
	}
}

// create makes an instance of the simulated messenger, with a webhook unless
// receiver is nil, and returns the answer.
func create(t *testing.T, d *e2e.Deployment, name string, receiver *e2e.Receiver) map[string]any {
	t.Helper()
	return createOf(t, d, instance.Simulated, name, receiver)
}

// createOf is create for an instance of any messenger.
func createOf(t *testing.T, d *e2e.Deployment, messenger instance.Provider, name string, receiver *e2e.Receiver) map[string]any {
	t.Helper()
	body := map[string]any{"name": name, "provider": messenger}
	if receiver != nil {
		body["webhooks"] = []any{map[string]any{"url": receiver.URL()}}
	}
	return d.API.Want(http.StatusCreated, http.MethodPost, "/v1/instances", body).Body
}

// link connects an instance and scans its code with the phone.
func link(t *testing.T, d *e2e.Deployment, name, phone string) map[string]any {
	t.Helper()
	shown := d.API.Want(http.StatusOK, http.MethodPost, "/v1/instances/"+name+"/connect?wait=30", nil).Body
	qr, ok := shown["qr"].(map[string]any)
	if !ok {
		t.Fatalf("connect answered no qr: %v", shown)
	}
	if err := d.Lab.ScanCode(t.Context(), phone, qr["code"].(string)); err != nil {
		t.Fatal(err)
	}
	return d.API.AwaitPhase(name, "online")
}

func TestMainJob(t *testing.T) {
	for name, deploy := range map[string]e2e.Deploy{"one process": e2e.One, "five processes": e2e.Five} {
		for _, messenger := range []instance.Provider{instance.Simulated, instance.WhatsApp} {
			t.Run(name+" "+string(messenger), func(t *testing.T) { mainJob(t, deploy(t, &binaries), messenger) })
		}
	}
}

// mainJob is the way of an instance from its creation to its deletion.
func mainJob(t *testing.T, d *e2e.Deployment, messenger instance.Provider) {
	const phone = "15550100011"
	receiver := e2e.NewReceiver(t)
	addPhoneOf(t, d, messenger, phone)
	created := createOf(t, d, messenger, "shop", receiver)
	secret := created["webhooks"].([]any)[0].(map[string]any)["secret"].(string)
	token := created["token"].(string)

	// The instance's own token is enough for everything that follows.
	own := d.API.With(token)
	shown := own.Want(http.StatusOK, http.MethodPost, "/v1/instances/shop/connect?wait=30", nil).Body
	if shown["phase"] != "pairing" || shown["attempt"] != "1" {
		t.Fatalf("connect answered %v", shown)
	}
	code := shown["qr"].(map[string]any)["code"].(string)
	if shown["qr"].(map[string]any)["image"] == "" {
		t.Fatalf("connect answered a code without a picture: %v", shown["qr"].(map[string]any)["imageReason"])
	}
	picture := own.Want(http.StatusOK, http.MethodGet, "/v1/instances/shop/qr.png", nil)
	if text := decode(t, picture.Raw); text != code {
		current := own.Want(http.StatusOK, http.MethodGet, "/v1/instances/shop/qr", nil).Body["code"]
		if text != current {
			t.Fatal("the picture is not of the current code")
		}
	}
	if svg := own.Want(http.StatusOK, http.MethodGet, "/v1/instances/shop/qr.svg", nil); !bytes.Contains(svg.Raw, []byte("<svg")) {
		t.Fatal("qr.svg is no SVG")
	}
	if text := own.Want(http.StatusOK, http.MethodGet, "/v1/instances/shop/qr.txt", nil); !strings.Contains(string(text.Raw), "█") {
		t.Fatal("qr.txt draws nothing")
	}
	if err := d.Lab.ScanPNG(t.Context(), phone, picture.Raw); err != nil {
		t.Fatal(err)
	}
	status := own.AwaitPhase("shop", "online")
	if account := status["account"].(map[string]any); account["phone"] != phone {
		t.Fatalf("linked to the wrong account")
	}
	receiver.Await("online", func(w e2e.Webhook) bool { return w.Phase == "online" })
	receiver.Verify(secret)
	own.Want(http.StatusConflict, http.MethodGet, "/v1/instances/shop/qr", nil)

	if err := d.Lab.Drop(t.Context(), phone); err != nil {
		t.Fatal(err)
	}
	receiver.Await("offline", func(w e2e.Webhook) bool { return w.Phase == "offline" && w.Reason == "connection_closed" })
	own.AwaitPhase("shop", "online")

	own.Want(http.StatusOK, http.MethodPost, "/v1/instances/shop/logout?wait=20", nil)
	if s := own.AwaitPhase("shop", "idle"); s["reason"] != "logged_out_by_user" {
		t.Fatalf("after the logout: %v", s)
	}
	again := link(t, d, "shop", phone)
	if again["attempt"] != "2" {
		t.Fatalf("the second link is attempt %v", again["attempt"])
	}
	if err := d.Lab.Unlink(t.Context(), phone); err != nil {
		t.Fatal(err)
	}
	if s := own.AwaitPhase("shop", "idle"); s["reason"] != "logged_out_on_phone" {
		t.Fatalf("after the unlink on the phone: %v", s)
	}
	d.API.Want(http.StatusNoContent, http.MethodDelete, "/v1/instances/shop", nil)
	d.API.Want(http.StatusNotFound, http.MethodGet, "/v1/instances/shop", nil)
	receiver.Await("deleted", func(w e2e.Webhook) bool { return w.Kind == "deleted" })
	receiver.Verify(secret)
	checkOrder(t, receiver)
	for name, p := range d.Processes {
		for what, secret := range map[string]string{"token": token, "webhook secret": secret, "phone number": phone, "code": code} {
			if strings.Contains(p.Log(), secret) {
				t.Errorf("the log of %s holds a %s", name, what)
			}
		}
	}
	for name, p := range d.Processes {
		if code := p.Stop(); code != 0 {
			t.Errorf("%s ended with status %d", name, code)
		}
	}
}

// checkOrder checks that webhooks of each instance came in the order of the
// stream, that created came first, and that no picture came after the status
// that ended its pairing.
func checkOrder(t *testing.T, receiver *e2e.Receiver) {
	t.Helper()
	last := map[string]uint64{}
	phase := map[string]string{}
	for i, w := range receiver.All() {
		var sequence uint64
		if _, err := fmt.Sscan(w.Sequence, &sequence); err != nil {
			t.Fatalf("webhook %d (%s) has sequence %q", i, w.Kind, w.Sequence)
		}
		if sequence <= last[w.Instance] {
			t.Errorf("webhook %d (%s %s) has sequence %d after %d", i, w.Kind, w.Phase, sequence, last[w.Instance])
		}
		if last[w.Instance] == 0 && w.Kind != "created" {
			t.Errorf("the first webhook is %s", w.Kind)
		}
		last[w.Instance] = sequence
		if w.Kind == "status" {
			phase[w.Instance] = w.Phase
		}
		if w.Kind == "qr" && phase[w.Instance] != "pairing" {
			t.Errorf("a picture came in phase %s", phase[w.Instance])
		}
	}
}
