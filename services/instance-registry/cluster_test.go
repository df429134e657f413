package registry

import (
	"fmt"
	"sync"
	"testing"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
)

// With replicas the server refuses a conditional write while another one is in
// flight: that is no answer to who has the name.
func TestTwoRegistriesInAClusterOfThree(t *testing.T) {
	bustest.CheckGoroutines(t)
	nodes := bustest.Cluster(t, 3)
	cfg := testConfig()
	var registries []*registry
	for range 2 {
		conn := nodes.Conn(t, bustest.Replicas(3))
		views := bus.NewViews(conn, zap.NewNop())
		t.Cleanup(views.Close)
		r, err := newRegistry(t.Context(), cfg, Deps{Bus: conn, Log: zap.NewNop(), Views: views})
		if err != nil {
			t.Fatal(err)
		}
		if !r.viewsReady(t.Context()) {
			t.Fatal("views not ready")
		}
		registries = append(registries, r)
	}
	for round := range 5 {
		var mu sync.Mutex
		won := 0
		var wg sync.WaitGroup
		for n := range 20 {
			wg.Go(func() {
				_, err := registries[n%2].create(t.Context(), simple(fmt.Sprint("shop ", round)))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if p := instance.AsProblem(err); p.Code != instance.CodeNameTaken {
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d creations won, want 1", won)
		}
	}
}
