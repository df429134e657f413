//go:build soak

package whatsapp_test

import (
	"sync"
	"testing"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/session-worker/driver"
)

// TestSoakTwoHundredPairings links two hundred devices at a server that closes
// right behind its last word, which may be lost so: none stays silent.
func TestSoakTwoHundredPairings(t *testing.T) {
	_, m, d := setup(t)
	must(t, m.SetFaults(t.Context(), labapi.Faults{HostileClose: true}))
	var wg sync.WaitGroup
	turns := make(chan struct{}, 8)
	for range 200 {
		phone := newPhone(t, m, labapi.NewAccount{})
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			s := pair(d, driver.PairParams{})
			defer s.Close()
			seen := map[string]bool{}
			for e := range s.events {
				switch e := e.(type) {
				case instance.CodeIssued:
					if err := m.Scan(t.Context(), phone, e.Text); err != nil {
						t.Errorf("the phone could not link: %v", err)
						return
					}
				case instance.Linked:
					seen["linked"] = true
				case instance.Connected:
					if !seen["linked"] {
						t.Error("connected before it was linked")
					}
					return
				case instance.Closed:
					t.Errorf("closed with %s (%s), linked: %v", e.Reason, e.Detail, seen["linked"])
					return
				}
			}
		})
	}
	wg.Wait()
}
