package lease

import (
	"time"

	"pairgate.dev/pkg/instance"
)

// verdict is what is to be done about one partition.
type verdict int

const (
	// leave: it is where it should be, or somebody else's business.
	leave verdict = iota
	// reclaim: the record names an earlier tenure of ours, which is over.
	reclaim
	// takeFree: nobody owns it and we should.
	takeFree
	// takeDead: we should own it, and its owner seems to be dead; read the leader before.
	takeDead
	// move: we own it and somebody else should.
	move
)

// situation is everything that a decision depends on.
type situation struct {
	self  string
	nonce string
	// earlier says whether a nonce under our worker id is one of a tenure that is surely over.
	earlier func(nonce string) bool
	// reclaimOwn: every other nonce under our worker id is.
	reclaimOwn bool

	leases   map[string]seenLease
	owners   []seenOwner
	subject  func(instance.Partition) string
	held     map[instance.Partition]bool
	keyStore string

	now time.Time
	ttl time.Duration
	// connected is for how long we have been connected and have followed.
	connected time.Duration
	// reconnected says that there was an earlier connection.
	reconnected bool
	moveAge     time.Duration
}

// members returns the leases among which partitions are shared out: live, with our
// key store and not draining.
func (s *situation) members() []Lease {
	var m []Lease
	for _, l := range s.leases {
		if !l.gone && !l.Draining && l.KeyStore == s.keyStore {
			m = append(m, l.Lease)
		}
	}
	return m
}

// alive says whether the owner of a record holds his lease.
func (s *situation) alive(o Owner) bool {
	l, known := s.leases[o.Worker]
	return known && !l.gone && l.Nonce == o.Nonce
}

// own says whether the record names us, by a tenure that is over or by the present
// one, whose claim we did not hear of.
func (s *situation) own(o Owner) bool {
	return o.Worker == s.self && (o.Nonce == s.nonce || s.reclaimOwn || s.earlier(o.Nonce))
}

// settled says whether we have been here for long enough to judge what is foreign.
func (s *situation) settled() bool { return s.connected >= s.ttl }

// decide returns what is to be done about the partition, given who should own it.
func (s *situation) decide(p instance.Partition, wish string) verdict {
	o := s.owners[p]
	switch {
	case s.held[p]:
		to, known := s.leases[wish]
		if wish != s.self && known && s.now.Sub(to.first) >= s.moveAge {
			return move
		}
		return leave
	case o.sequence > 0 && !o.Released && s.own(o.Owner):
		return reclaim
	case wish != s.self:
		return leave
	case s.reconnected && !s.settled():
		return leave
	case o.sequence == 0 || o.Released:
		return takeFree
	case s.alive(o.Owner):
		return leave
	case !s.known(o.Worker) && !s.settled():
		// A lease that we have never seen may have expired while everything was down, and its
		// holder may be about to come back.
		return leave
	}
	return takeDead
}

// known says whether a lease of the worker was ever seen.
func (s *situation) known(worker string) bool {
	_, ok := s.leases[worker]
	return ok
}

// plan is what is to be done now.
type plan struct {
	reclaim, free, dead, move []instance.Partition
	// wanted is how many partitions we should own.
	wanted int
}

// plan decides for every partition.
func (s *situation) plan() plan {
	var pl plan
	members := s.members()
	for p := range instance.Partition(len(s.owners)) {
		wish := wished(members, s.subject(p))
		if wish == s.self {
			pl.wanted++
		}
		switch s.decide(p, wish) {
		case reclaim:
			pl.reclaim = append(pl.reclaim, p)
		case takeFree:
			pl.free = append(pl.free, p)
		case takeDead:
			pl.dead = append(pl.dead, p)
		case move:
			pl.move = append(pl.move, p)
		}
	}
	return pl
}
