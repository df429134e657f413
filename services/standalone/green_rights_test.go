package standalone_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/standalone/internal/e2e"
)

// askAsGreenAPI makes each request of GREEN-API's clients that needs a right at NATS
// of its own: settings with their secrets, the queue, the webhook and its deliveries.
func askAsGreenAPI(t *testing.T, d *e2e.Deployment) {
	t.Helper()
	made := create(t, d, "as green", nil)
	g := &green{T: t, d: d, messenger: instance.Simulated, phones: new(atomic.Int64)}
	i := &greenInstance{green: g, number: made["instance"].(map[string]any)["number"].(string), token: made["token"].(string)}
	i.post("setSettings", map[string]any{"stateWebhook": "yes"}).want(http.StatusOK)
	i.link()
	bustest.CheckFor(t, greenPatience, func() error {
		receipt, body, item := i.receive()
		if !item {
			return errors.New("no notification")
		}
		if a := i.delete(receipt); !strings.Contains(a.body, `"result":true`) {
			t.Errorf("deleteNotification: %s", a.body)
		}
		if !strings.Contains(body, `"authorized"`) {
			return errors.New("not the last notification")
		}
		return nil
	})
	i.post("setSettings", map[string]any{"webhookUrl": newGreenReceiver(t).url(), "webhookUrlToken": "hook-token"}).want(http.StatusOK)
	if a := i.call("getSettings"); !strings.Contains(a.body, `"webhookUrlToken":"hook-token"`) {
		t.Errorf("getSettings: %s", a.body)
	}
	if a := i.call("getWebhooksCount"); a.body != `{"count":0}` {
		t.Errorf("getWebhooksCount: %s", a.body)
	}
	if a := i.send(http.MethodDelete, "/waInstance"+i.number+"/clearWebhooksQueue/"+i.token, nil); a.body != `{"isCleared":true,"reason":""}` {
		t.Errorf("clearWebhooksQueue: %s", a.body)
	}
	if a := i.call("getStateInstanceHistory"); !strings.Contains(a.body, `"authorized"`) {
		t.Errorf("getStateInstanceHistory: %s", a.body)
	}
	if a := i.call("logout"); a.body != `{"isLogout":true}` {
		t.Errorf("logout: %s", a.body)
	}
	d.API.Want(http.StatusNoContent, http.MethodDelete, "/v1/instances/"+i.number, nil)
}
