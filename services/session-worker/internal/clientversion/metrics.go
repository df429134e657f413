package clientversion

import "github.com/prometheus/client_golang/prometheus"

// metrics tell which version is in force and what became of it.
type metrics struct {
	outdated prometheus.Gauge
	info     *prometheus.GaugeVec
	checks   *prometheus.CounterVec
}

// The results of asking WhatsApp Web.
const (
	checkNewer   = "newer"
	checkCurrent = "current"
	checkFailed  = "failed"
)

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		outdated: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pairgate_whatsapp_client_outdated",
			Help: "1 while WhatsApp is known to refuse the client version in force at this worker, else 0."}),
		info: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pairgate_whatsapp_client_version_info",
			Help: "1 for the client version in force at this worker and where it is from: settings, configuration, web or built-in."},
			[]string{"version", "source"}),
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pairgate_whatsapp_version_checks_total",
			Help: "Times that WhatsApp Web was asked for its version, by result: newer than the built-in one, current (it is not), or failed."},
			[]string{"result"}),
	}
	for _, result := range []string{checkNewer, checkCurrent, checkFailed} {
		m.checks.WithLabelValues(result)
	}
	r.MustRegister(m.outdated, m.info, m.checks)
	return m
}

func (m *metrics) show(c Choice, refused bool) {
	m.info.Reset()
	m.info.WithLabelValues(string(c.Version), string(c.Source)).Set(1)
	m.outdated.Set(0)
	if refused {
		m.outdated.Set(1)
	}
}
