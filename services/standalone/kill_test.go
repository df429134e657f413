package standalone_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"pairgate.dev/services/standalone/internal/e2e"
)

// TestKilledAtAnyMoment kills the one process in the middle of pairings and
// while online, and checks what is promised of the next start.
func TestKilledAtAnyMoment(t *testing.T) { killAtAnyMoment(t, 5) }

func killAtAnyMoment(t *testing.T, rounds int) {
	receiver := e2e.NewReceiver(t)
	dataDir := filepath.Join(t.TempDir(), "data")
	d := e2e.OneIn(t, &binaries, dataDir, nil)
	const linked, open = "15550100021", "15550100022"
	addPhone(t, d, linked)
	addPhone(t, d, open)
	created := create(t, d, "linked", receiver)
	secret := created["webhooks"].([]any)[0].(map[string]any)["secret"].(string)
	link(t, d, "linked", linked)
	create(t, d, "open", nil)

	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for round := range rounds {
		shown := d.API.Want(http.StatusOK, http.MethodPost, "/v1/instances/open/connect?wait=30", nil).Body
		before := number(t, shown["attempt"])
		// Something is under way on the linked instance too: its webhook is owed by then.
		d.API.Want(http.StatusOK, http.MethodPost, "/v1/instances/linked/restart?wait=20", nil)
		moment := time.Duration(random.IntN(300)) * time.Millisecond
		t.Logf("round %d: killed %v after the restart", round, moment)
		timer := time.NewTimer(moment)
		<-timer.C
		d.Processes["pairgate"].Kill()

		d = e2e.OneIn(t, &binaries, dataDir, nil)
		online := d.API.AwaitPhase("linked", "online")
		if number(t, online["attempt"]) != 1 {
			t.Fatalf("round %d: a linked instance was paired anew: %v", round, online)
		}
		again := d.API.AwaitStatus("open", "a new window", func(s map[string]any) bool {
			return s["phase"] == "pairing" && number(t, s["attempt"]) == before+1
		})
		if again["reason"] != "qr_issued" {
			t.Fatalf("round %d: %v", round, again)
		}
		if text := d.API.Want(http.StatusOK, http.MethodGet, "/v1/instances/open/qr?wait=10", nil).Body; number(t, text["attempt"]) != before+1 {
			t.Fatalf("round %d: a code of attempt %v", round, text["attempt"])
		}
		epoch := online["epoch"]
		receiver.Await("online under the new epoch", func(w e2e.Webhook) bool {
			return w.Phase == "online" && fmt.Sprint(epoch) == epochOf(t, w)
		})
		d.API.Want(http.StatusOK, http.MethodPost, "/v1/instances/open/logout?wait=20", nil)
	}
	owedAreDelivered(t, d, receiver)
	receiver.Verify(secret)
	checkOrder(t, receiver)
}
