package lane

import (
	"time"
)

// Stats are counts for metrics.
type Stats struct {
	// Endpoints that are owed something, and of them those that rest and those that are disabled.
	Endpoints, Resting, DisabledEndpoints int
	// Lanes that are owed something, and of them those that wait for a retry.
	Lanes, Parked int
	// InFlight are attempts, BufferedBytes payloads held.
	InFlight, BufferedBytes int
}

// Stats counts.
func (m *Machine) Stats(now time.Time) Stats {
	s := Stats{Lanes: m.lanes, Parked: m.parked, InFlight: m.inflight(), BufferedBytes: m.bytes}
	for _, e := range m.endpoints {
		if len(e.lanes) == 0 {
			continue
		}
		s.Endpoints++
		if e.until.After(now) {
			s.Resting++
		}
		if e.state == Disabled {
			s.DisabledEndpoints++
		}
	}
	return s
}
