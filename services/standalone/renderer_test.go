package standalone_test

import (
	"net/http"
	"testing"

	"pairgate.dev/services/standalone/internal/e2e"
)

// TestConnectWithTheRendererStopped: connect answers with the code's text and
// why there is no picture, and what was drawn late is never shown, streamed or
// delivered.
func TestConnectWithTheRendererStopped(t *testing.T) {
	d := e2e.Five(t, &binaries)
	const phone = "15550100031"
	receiver := e2e.NewReceiver(t)
	addPhone(t, d, phone)
	create(t, d, "shop", receiver)

	renderer := d.Processes["qr-renderer"]
	renderer.Freeze()
	shown := d.API.Want(http.StatusOK, http.MethodPost, "/v1/instances/shop/connect?wait=20", nil).Body
	qr := shown["qr"].(map[string]any)
	if _, image := qr["image"]; qr["code"] == "" || image || qr["imageReason"] != "renderer_unavailable" {
		t.Fatalf("connect answered the code %v, an image %v, and the reason %v", qr["code"] != "", image, qr["imageReason"])
	}
	if err := d.Lab.ScanCode(t.Context(), phone, qr["code"].(string)); err != nil {
		t.Fatal(err)
	}
	d.API.AwaitPhase("shop", "online")
	renderer.Thaw()

	// The next link shows pictures again, and no picture of the first attempt was ever told.
	d.API.Want(http.StatusOK, http.MethodPost, "/v1/instances/shop/logout?wait=20", nil)
	link(t, d, "shop", phone)
	receiver.Await("the second online", func(w e2e.Webhook) bool { return w.Phase == "online" && attemptOf(t, w) == "2" })
	for _, w := range receiver.All() {
		if w.Kind == "qr" && attemptOf(t, w) == "1" {
			t.Fatal("a picture of the first attempt was delivered after its scan")
		}
	}
	checkOrder(t, receiver)
}
