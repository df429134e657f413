package keys

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// orphans finds the devices that no instance uses: there is no note of them, or
// the instance has a device of a newer note.
const orphans = `SELECT d.jid FROM whatsmeow_device d LEFT JOIN pairgate_links l ON l.jid = d.jid
	WHERE l.jid IS NULL OR EXISTS (
		SELECT 1 FROM pairgate_links n JOIN whatsmeow_device newer ON newer.jid = n.jid
		WHERE n.instance = l.instance AND n.note > l.note)
	ORDER BY d.jid`

// Orphans returns the stored devices that belong to no instance, or that a newer
// linking of their instance has replaced. They are linked at the messenger, for
// all we know, and are to be logged out and then dropped. Another worker may be
// at the same; [Store.Hold] on a name made of the device's jid sees to that.
func (s *Store) Orphans(ctx context.Context) ([]*store.Device, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	jids, err := s.orphans(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking for devices without an instance: %w", explain(err))
	}
	var devices []*store.Device
	for _, jid := range jids {
		device, err := s.container.GetDevice(ctx, jid)
		if err != nil {
			return nil, fmt.Errorf("reading a device without an instance: %w", explain(err))
		}
		if device != nil {
			devices = append(devices, device)
		}
	}
	return devices, nil
}

func (s *Store) orphans(ctx context.Context) (jids []types.JID, err error) {
	rows, err := s.db.QueryContext(ctx, orphans)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var jid types.JID
		if err := rows.Scan(&jid); err != nil {
			return nil, err
		}
		jids = append(jids, jid)
	}
	return jids, rows.Err()
}

// Drop deletes a device and its note. Nothing is deleted when other keys have
// been stored for its jid since it was read: those are of a new linking.
func (s *Store) Drop(ctx context.Context, device *store.Device) error {
	if device.ID == nil {
		return nil
	}
	return s.within(ctx, "dropping a device", func(ctx context.Context, tx *sql.Tx) error {
		deleted, err := tx.ExecContext(ctx, s.query("DELETE FROM whatsmeow_device WHERE jid = $1 AND noise_key = $2"),
			device.ID.String(), device.NoiseKey.Priv[:])
		if err != nil {
			return err
		}
		if n, err := deleted.RowsAffected(); err != nil || n == 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, s.query("DELETE FROM pairgate_links WHERE jid = $1"), device.ID.String())
		return err
	})
}
