package service_test

import (
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"pairgate.dev/pkg/service"
)

func TestReadinessIsAMetric(t *testing.T) {
	h := service.NewHealth()
	reg := prometheus.NewRegistry()
	reg.MustRegister(service.ReadinessMetrics(h))
	// "" is pairgate_ready, else the condition's own.
	values := func() map[string]float64 {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				condition := ""
				for _, l := range m.GetLabel() {
					condition = l.GetValue()
				}
				all[condition] = m.GetGauge().GetValue()
			}
		}
		return all
	}
	h.Set(service.NATS, errors.New("not connected"))
	if v := values(); v[""] != 0 || v["nats"] != 1 || v["streams"] != 0 || len(v) != 1+len(service.Conditions()) {
		t.Errorf("without NATS %v", v)
	}
	h.Set(service.NATS, nil)
	if v := values(); v[""] != 1 || v["nats"] != 0 {
		t.Errorf("ready %v", v)
	}
}
