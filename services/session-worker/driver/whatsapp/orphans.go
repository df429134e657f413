package whatsapp

import (
	"context"
	"errors"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/whatsapp/keys"
)

const (
	// orphanTimeout bounds the removal of one orphan.
	orphanTimeout = time.Minute
	// orphansAgain is when orphans are tried again that could not be removed.
	orphansAgain = 30 * time.Minute
)

// errNotUnlinked says that an orphan is, for all we know, still linked.
var errNotUnlinked = errors.New("the messenger did not confirm it")

// sweepOrphans removes devices that belong to no instance, whenever it is woken
// and again while some are left.
func (d *Driver) sweepOrphans() {
	again := stopped()
	defer again.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-d.sweep:
		case <-again.C:
		}
		left, err := d.removeOrphans(d.ctx)
		if err != nil && d.ctx.Err() == nil {
			d.log.Warn("devices of WhatsApp that belong to no instance could not be looked for", zap.Error(err))
		}
		if left > 0 || err != nil {
			again.Reset(orphansAgain)
		}
	}
}

func (d *Driver) wakeSweep() {
	select {
	case d.sweep <- struct{}{}:
	default:
	}
}

// removeOrphans removes what it can, one after the other, and says how many are left.
func (d *Driver) removeOrphans(ctx context.Context) (left int, err error) {
	devices, err := d.opts.Keys.Orphans(ctx)
	if err != nil {
		return 0, err
	}
	for _, device := range devices {
		if ctx.Err() != nil {
			return left, ctx.Err()
		}
		if err := d.removeOrphan(ctx, device); err != nil {
			left++
			if ctx.Err() == nil && !errors.Is(err, keys.ErrHeld) {
				d.log.Warn("a device of WhatsApp that belongs to no instance could not be unlinked; trying again later", zap.Error(err))
			}
		}
	}
	return left, nil
}

// removeOrphan unlinks a device and drops its keys. Another worker may be at the
// same, or a session may still be using the keys: then it fails.
func (d *Driver) removeOrphan(ctx context.Context, device *store.Device) error {
	ctx, cancel := context.WithTimeout(ctx, orphanTimeout)
	defer cancel()
	jid := device.GetJID()
	release, lost, err := d.opts.Keys.Hold(ctx, instance.ID("orphan:"+jid.String()))
	if err != nil {
		return err
	}
	defer release()
	if err := d.unlinkOrphan(ctx, device, lost); err != nil {
		return err
	}
	if err := d.opts.Keys.Drop(ctx, device); err != nil {
		return err
	}
	d.mu.Lock()
	delete(d.ways, jid)
	d.mu.Unlock()
	d.log.Info("a device of WhatsApp that belonged to no instance was unlinked")
	return nil
}

// unlinkOrphan logs in with the device and out again. It returns nil when the
// messenger says that the device is not linked, one way or the other.
func (d *Driver) unlinkOrphan(ctx context.Context, device *store.Device, lost <-chan struct{}) error {
	if _, refused := d.versions.inForce(time.Now()); refused {
		return errors.New(outdated().Detail)
	}
	d.mu.Lock()
	proxy := d.ways[device.GetJID()]
	d.mu.Unlock()
	box := newMailbox()
	link, err := d.newLink(ctx, linkParams{device: device, common: driver.Common{Proxy: proxy}, post: func(from *link, event any) {
		switch event.(type) {
		case dialled, socketEnded, *events.Connected, *events.LoggedOut, events.PermanentDisconnect:
			box.put(mail{from: from, event: event})
		}
	}})
	if err != nil {
		return err
	}
	defer link.close()
	defer box.close()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-lost:
			return errNotUnlinked
		case <-box.ready:
		}
		for _, m := range box.take() {
			switch e := m.event.(type) {
			case dialled:
				if e.err != nil {
					return errors.New(dialFailure(e.err).Detail)
				}
			case *events.Connected:
				if link.unlink(ctx) != nil {
					return errNotUnlinked
				}
				return nil
			case *events.LoggedOut:
				if e.Reason == events.ConnectFailureUnknownLogout {
					return errNotUnlinked // A banned account; the ban may end.
				}
				return nil
			default:
				return errNotUnlinked
			}
		}
	}
}

// supersede has the devices removed that the instance was linked as before. They
// are reached the way that its session takes.
func (d *Driver) supersede(c driver.Common, before types.JID) {
	if before.IsEmpty() || d.opts.LeaveOrphans {
		return
	}
	d.mu.Lock()
	d.ways[before] = c.Proxy
	d.mu.Unlock()
	d.wakeSweep()
}
