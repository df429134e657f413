package lease

import (
	"maps"
	"testing"
	"time"

	"pairgate.dev/pkg/instance"
)

// One table for every rule of who may take what when.
func TestDecide(t *testing.T) {
	const ttl = 20 * time.Second
	now := time.Now()
	live := func(worker, nonce string, age time.Duration) seenLease {
		return seenLease{Lease: Lease{Worker: worker, Nonce: nonce}, revision: 1, first: now.Add(-age), last: now}
	}
	base := situation{
		self: "me", nonce: "m2", earlier: func(n string) bool { return n == "m1" },
		leases: map[string]seenLease{"me": live("me", "m2", time.Hour), "other": live("other", "o1", time.Hour)},
		now:    now, ttl: ttl, connected: time.Hour, moveAge: 30 * time.Second,
	}
	rec := func(worker, nonce string, released bool) seenOwner {
		return seenOwner{Owner: Owner{Worker: worker, Nonce: nonce, Released: released}, sequence: 5}
	}
	cases := []struct {
		name   string
		owner  seenOwner
		wish   string
		change func(*situation)
		want   verdict
	}{
		{name: "no record, ours", wish: "me", want: takeFree},
		{name: "no record, just started", wish: "me", change: func(s *situation) { s.connected = 0 }, want: takeFree},
		{name: "no record, another's", wish: "other", want: leave},
		{name: "released, ours", owner: rec("other", "o1", true), wish: "me", want: takeFree},
		{name: "released, just reconnected", owner: rec("other", "o1", true), wish: "me",
			change: func(s *situation) { s.reconnected, s.connected = true, ttl-1 }, want: leave},
		{name: "released, reconnected a TTL ago", owner: rec("other", "o1", true), wish: "me",
			change: func(s *situation) { s.reconnected, s.connected = true, ttl }, want: takeFree},
		{name: "owner alive", owner: rec("other", "o1", false), wish: "me", want: leave},
		{name: "owner came back under another nonce", owner: rec("other", "o0", false), wish: "me", want: takeDead},
		{name: "owner gone", owner: rec("other", "o1", false), wish: "me",
			change: func(s *situation) { s.leases["other"] = seenLease{gone: true} }, want: takeDead},
		{name: "owner gone, just reconnected", owner: rec("other", "o1", false), wish: "me",
			change: func(s *situation) {
				s.leases["other"] = seenLease{gone: true}
				s.reconnected, s.connected = true, time.Second
			}, want: leave},
		{name: "owner never seen, cold start", owner: rec("stranger", "x", false), wish: "me",
			change: func(s *situation) { s.connected = ttl - 1 }, want: leave},
		{name: "owner never seen, after a TTL", owner: rec("stranger", "x", false), wish: "me",
			change: func(s *situation) { s.connected = ttl }, want: takeDead},
		{name: "owner gone, another should take it", owner: rec("stranger", "x", false), wish: "other", want: leave},
		{name: "our own earlier tenure, even just reconnected", owner: rec("me", "m1", false), wish: "other",
			change: func(s *situation) { s.reconnected, s.connected = true, 0 }, want: reclaim},
		{name: "our own claim that we did not hear of", owner: rec("me", "m2", false), wish: "me", want: reclaim},
		{name: "our worker id, unknown process, lock", owner: rec("me", "x", false), wish: "other",
			change: func(s *situation) { s.reclaimOwn, s.connected = true, 0 }, want: reclaim},
		{name: "our worker id, unknown process, no lock", owner: rec("me", "x", false), wish: "me", want: takeDead},
		{name: "our worker id, released", owner: rec("me", "m1", true), wish: "other", want: leave},
		{name: "held and ours", owner: rec("me", "m2", false), wish: "me",
			change: func(s *situation) { s.held[0] = true }, want: leave},
		{name: "held, belongs to an old lease", owner: rec("me", "m2", false), wish: "other",
			change: func(s *situation) { s.held[0] = true }, want: move},
		{name: "held, belongs to a young lease", owner: rec("me", "m2", false), wish: "other",
			change: func(s *situation) { s.held[0], s.leases["other"] = true, live("other", "o1", 29*time.Second) }, want: leave},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := base
			s.leases = maps.Clone(base.leases)
			s.held = map[instance.Partition]bool{}
			s.owners = []seenOwner{c.owner}
			if c.change != nil {
				c.change(&s)
			}
			if got := s.decide(0, c.wish); got != c.want {
				t.Errorf("verdict %d, want %d", got, c.want)
			}
		})
	}
}

// A worker that drains, is gone, or has other keys gets nothing.
func TestMembers(t *testing.T) {
	s := situation{keyStore: "a", leases: map[string]seenLease{
		"ok":       {Lease: Lease{Worker: "ok", KeyStore: "a"}},
		"draining": {Lease: Lease{Worker: "draining", KeyStore: "a", Draining: true}},
		"gone":     {Lease: Lease{Worker: "gone", KeyStore: "a"}, gone: true},
		"other":    {Lease: Lease{Worker: "other", KeyStore: "b"}},
	}}
	if m := s.members(); len(m) != 1 || m[0].Worker != "ok" {
		t.Errorf("members %+v", m)
	}
}

// Two silent pings prove death only when they are far enough apart, over one
// connection, and when nothing was renewed between them.
func TestSilenceThatProvesDeath(t *testing.T) {
	now := time.Now()
	l := seenLease{Lease: Lease{Worker: "w", Nonce: "n"}, revision: 7}
	s := silence{nonce: "n", revision: 7, connection: 1, since: now.Add(-3 * time.Second)}
	renewed, reborn := l, l
	renewed.revision, reborn.Nonce = 8, "n2"
	for _, c := range []struct {
		name       string
		lease      seenLease
		connection uint64
		now        time.Time
		want       bool
	}{
		{"3 s apart", l, 1, now, true},
		{"less apart", l, 1, now.Add(-1), false},
		{"renewed between", renewed, 1, now, false},
		{"another tenure", reborn, 1, now, false},
		{"another connection of ours", l, 2, now, false},
	} {
		if got := s.proves(c.lease, c.connection, c.now, 3*time.Second); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
