package whatsapp_test

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/whatsapp"
)

// A session comes online as unavailable, so that the phone keeps on ringing, and
// is available for as long as that is asked for.
func TestPresenceIsUnavailableUntilAskedFor(t *testing.T) {
	_, m, d := setup(t)
	phone := newPhone(t, m, labapi.NewAccount{Name: "Grace"})
	s := linkWith(t, m, d, driver.PairParams{}, phone)
	sent := func(want ...string) {
		t.Helper()
		eventually(t, fmt.Sprintf("the presences %v", want), func() error {
			a, err := m.Account(t.Context(), phone)
			if err != nil {
				return err
			}
			var got []string
			for _, sent := range a.Devices[0].Sent {
				if sent.Kind == "presence" {
					got = append(got, sent.Text)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				return fmt.Errorf("they are %v", got)
			}
			return nil
		})
	}
	sent("unavailable")
	must(t, s.Session.(driver.PresenceSetter).SetPresence(t.Context(), true))
	sent("unavailable", "available")
	must(t, s.Session.(driver.PresenceSetter).SetPresence(t.Context(), false))
	sent("unavailable", "available", "unavailable")
	s.Close()
}

// Connections are counted by how they went.
func TestConnectsAreCounted(t *testing.T) {
	l := startLab(t)
	m := newMessenger(t, l)
	metrics := prometheus.NewRegistry()
	d := newDriver(t, l, t.TempDir()+"/keys", func(o *whatsapp.Options) { o.Metrics, o.ConnectsPerSecond = metrics, 1000 })
	s := linkWith(t, m, d, driver.PairParams{}, newPhone(t, m, labapi.NewAccount{}))
	s.Close()
	must(t, m.SetFaults(t.Context(), labapi.Faults{UpgradeStatus: 429}))
	closes(t, login(d, driver.Common{Instance: s.id}), instance.ReasonThrottled)
	families, err := metrics.Gather()
	must(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, metric := range f.Metric {
			name := f.GetName()
			for _, label := range metric.Label {
				name += " " + label.GetValue()
			}
			got[name] += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{"pairgate_whatsapp_connects_total connected": 2,
		"pairgate_whatsapp_connects_total throttled": 1, "pairgate_whatsapp_connects_waiting": 0} {
		if n, ok := got[name]; !ok || n != want {
			t.Errorf("%s is %v (%v), want %v", name, n, ok, want)
		}
	}
	must(t, d.Close())
	noneLeft(t)
}
