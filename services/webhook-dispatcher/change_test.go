package dispatcher_test

import (
	"fmt"
	"testing"
	"time"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/webhook-dispatcher/internal/retry"
)

func TestAWebhookThatIsMendedGetsWhatItIsOwedAtOnce(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, status(500))
	id := newInstance()
	hook := w.hook(id, r.URL+"/wrong", nil)
	cfg := w.config()
	cfg.RetrySchedule = retry.Schedule{24 * time.Hour, 24 * time.Hour}
	w.start(cfg)
	first, second := w.status(id, instance.Idle, 0), w.status(id, instance.Offline, 0)
	bustest.CheckFor(t, patience, func() error {
		if w.attempts(hook)[first].GetState() != "pending" {
			return fmt.Errorf("not tried yet")
		}
		return nil
	})
	r.setAnswer(nil)
	rec := w.getHook(hook)
	rec.Webhook.Url = r.URL + "/right"
	w.putHook(rec)
	got := r.wait(2)
	if got[0].sequence != first || got[1].sequence != second || got[0].path != "/right" {
		t.Fatalf("%+v", got)
	}
	w.noneOwed()
}
