package fleet

import "pairgate.dev/pkg/instance"

// VersionChanged lets the outdated instances of the provider begin with another
// client version, those at rest included. It is not called after Close has begun.
func (f *Fleet) VersionChanged(provider instance.Provider) {
	var resting []instance.ID
	for n := range instance.Partition(instance.Partitions) {
		if p := f.partition(n); p != nil {
			resting = append(resting, p.versionChanged(provider)...)
		}
	}
	if len(resting) > 0 {
		f.wg.Go(func() { f.awaken(provider, resting) })
	}
}

// VersionRefused lets the instances of the provider that wait for their next try
// find out at once that their client version is refused.
func (f *Fleet) VersionRefused(provider instance.Provider) {
	f.each(func(m *member) {
		if m.provider == provider {
			m.actor.VersionRefused()
		}
	})
}

// versionChanged tells the actors of the provider, and returns the outdated
// instances of any provider that have none. An actor that parks meanwhile does
// not get lost between the two.
func (p *partition) versionChanged(provider instance.Provider) (resting []instance.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.actors {
		if m.provider == provider {
			m.actor.VersionChanged()
		}
	}
	for id, last := range p.last {
		if last.Phase == instance.Outdated {
			resting = append(resting, id)
		}
	}
	return resting
}

// awaken starts actors for those instances that are of the provider.
func (f *Fleet) awaken(provider instance.Provider, ids []instance.ID) {
	for _, id := range ids {
		p := f.partition(id.Partition())
		record, _, ok := f.Instances.Get(id)
		if p == nil || !ok || instance.Provider(record.GetInstance().GetProvider()) != provider {
			continue
		}
		if !f.crowd(p, id, record, versionChanged) {
			return
		}
	}
}
