package bus

import "time"

// SetLimits changes how much is kept, for tests, before the first use.
func (r *RecentEvents) SetLimits(age time.Duration, bytes int) {
	r.limits = ringLimits{age: age, bytes: bytes}
}

// SetEventClock changes the clock that decides how old an event is, for tests, before the first use.
func (r *RecentEvents) SetEventClock(clock func() time.Time) { r.clock = clock }

// SetSnapshotAfter changes the age of a gap above which a snapshot repairs it, for tests, before the first use.
func (f *Follower[T]) SetSnapshotAfter(d time.Duration) { f.feed.cfg.snapshotAfter = d }
