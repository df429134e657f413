package lease

import (
	"slices"
	"time"

	"pairgate.dev/pkg/instance"
)

// Unowned returns the partitions, of the given number, that nobody serves: without an
// owner record, released, or owned by a tenure whose lease is not among the live ones.
// It is in ascending order. Values come from ParseOwner and ParseLease.
func Unowned(partitions int, owners map[instance.Partition]Owner, leases []Lease) []instance.Partition {
	live := make(map[string]string, len(leases))
	for _, l := range leases {
		live[l.Worker] = l.Nonce
	}
	var none []instance.Partition
	for p := range instance.Partition(partitions) {
		o, ok := owners[p]
		if !ok || o.Released || o.Nonce == "" || live[o.Worker] != o.Nonce {
			none = append(none, p)
		}
	}
	return none
}

func ownership(leases map[string]seenLease, owners []seenOwner) ([]Lease, map[instance.Partition]Owner) {
	var live []Lease
	for _, l := range leases {
		if !l.gone {
			live = append(live, l.Lease)
		}
	}
	records := make(map[instance.Partition]Owner, len(owners))
	for p, o := range owners {
		if o.sequence > 0 {
			records[instance.Partition(p)] = o.Owner
		}
	}
	return live, records
}

// Status is a Manager's health.
type Status struct {
	Kind   string
	Worker string
	// Held says that we have the lease.
	Held     bool
	Draining bool
	// LeaseAge is how long the present tenure has lasted.
	LeaseAge time.Duration
	// LastRenew is when the last successful renewal was sent, with a monotonic reading.
	LastRenew time.Time
	// Owned partitions are ours, Wanted should be, Foreign have another live owner, Unowned none.
	Owned, Wanted, Foreign, Unowned int
}

// Status returns the Manager's health as of now. What it says of others may be late.
func (m *Manager) Status() Status {
	leases, owners := m.view.state()
	live, records := ownership(leases, owners)
	unowned := Unowned(m.cfg.Partitions, records, live)
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Status{
		Kind: m.cfg.Kind, Worker: m.cfg.WorkerID, Held: m.tenure != nil, Draining: m.draining,
		LastRenew: m.renewed, Owned: len(m.parts), Wanted: m.wanted,
	}
	for _, p := range unowned {
		if m.parts[p] == nil { // or our own record has not come back to us yet
			s.Unowned++
		}
	}
	foreign := m.cfg.Partitions - len(unowned)
	for p, o := range records {
		if o.Worker == m.cfg.WorkerID && !slices.Contains(unowned, p) {
			foreign--
		}
	}
	s.Foreign = foreign
	if m.tenure != nil {
		s.LeaseAge = time.Since(m.tenure.began)
	}
	return s
}
