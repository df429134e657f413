package keys

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"pairgate.dev/pkg/instance"
)

// inForce finds the device of an instance: that of the newest note whose device
// is stored. A newer note without one is of a linking that did not come to its end.
const inForce = `FROM pairgate_links l JOIN whatsmeow_device d ON d.jid = l.jid
	WHERE l.instance = $1 ORDER BY l.note DESC LIMIT 1`

// Note writes down that the instance is about to be linked as device jid. It
// must have returned without an error before the library stores the device (in
// the callback that comes before pairing is confirmed).
//
// A stored device of the same jid is deleted, because the library, given a jid
// that it has, keeps the old keys (PutDevice in whatsmeow's sqlstore); the
// messenger has given the number anew, so those are void.
func (s *Store) Note(ctx context.Context, id instance.ID, jid types.JID) error {
	return s.within(ctx, "noting a linked device", func(ctx context.Context, tx *sql.Tx) error {
		for _, statement := range []string{"DELETE FROM whatsmeow_device WHERE jid = $1", "DELETE FROM pairgate_links WHERE jid = $1"} {
			if _, err := tx.ExecContext(ctx, s.query(statement), jid.String()); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, s.query("INSERT INTO pairgate_links (instance, jid) VALUES ($1, $2)"), string(id), jid.String())
		return err
	})
}

// Device returns the keys that the instance is linked with; ok is false when
// there are none.
func (s *Store) Device(ctx context.Context, id instance.ID) (device *store.Device, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var jid types.JID
	err = s.db.QueryRowContext(ctx, s.query("SELECT l.jid "+inForce), string(id)).Scan(&jid)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("looking for the keys: %w", explain(err))
	}
	device, err = s.container.GetDevice(ctx, jid)
	if err != nil {
		return nil, false, fmt.Errorf("reading the keys: %w", explain(err))
	}
	return device, device != nil, nil
}

// Account returns the account that the instance is linked to, without its keys;
// ok is false when there are none.
func (s *Store) Account(ctx context.Context, id instance.ID) (account instance.Account, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var jid types.JID
	err = s.db.QueryRowContext(ctx, s.query("SELECT l.jid, CASE WHEN d.push_name <> '' THEN d.push_name ELSE d.business_name END "+inForce),
		string(id)).Scan(&jid, &account.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return instance.Account{}, false, nil
	}
	if err != nil {
		return instance.Account{}, false, fmt.Errorf("looking for the account: %w", explain(err))
	}
	account.ID, account.Phone = jid.String(), jid.User
	return account, true, nil
}

// Forget deletes the keys and the notes of the instance; there may be none. A
// device that an older linking of the instance has left behind loses its note
// only: it is an orphan, still to be unlinked.
func (s *Store) Forget(ctx context.Context, id instance.ID) error {
	return s.within(ctx, "deleting the keys", func(ctx context.Context, tx *sql.Tx) error {
		for _, statement := range []string{"DELETE FROM whatsmeow_device WHERE jid = (SELECT l.jid " + inForce + ")",
			"DELETE FROM pairgate_links WHERE instance = $1"} {
			if _, err := tx.ExecContext(ctx, s.query(statement), string(id)); err != nil {
				return err
			}
		}
		return nil
	})
}
