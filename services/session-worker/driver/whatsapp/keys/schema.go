package keys

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"go.mau.fi/util/dbutil"
)

// schema is the version of our tables that this version of the code works with.
const schema = 1

// tables makes our tables of version 1. A note's number tells the newest; clocks
// of several workers could not. A device is linked to one instance at most.
func (s *Store) tables() []string {
	number := "note INTEGER PRIMARY KEY AUTOINCREMENT"
	if s.postgres {
		number = "note BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
	}
	return []string{
		"CREATE TABLE pairgate_keys (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), store TEXT NOT NULL, schema_version INTEGER NOT NULL)",
		"CREATE TABLE pairgate_links (" + number + ", instance TEXT NOT NULL, jid TEXT NOT NULL UNIQUE)",
		"CREATE INDEX pairgate_links_by_instance ON pairgate_links (instance, note)",
	}
}

// upgrade brings both sets of tables up to date and learns the id of the
// database. No other process does the same at the same time.
func (s *Store) upgrade(ctx context.Context) error {
	ours, err := s.exists(ctx, "pairgate_keys")
	if err != nil {
		return s.unusable(err)
	}
	if !ours {
		if err := s.refuseForeign(ctx); err != nil {
			return err
		}
	}
	if err := s.container.Upgrade(ctx); err != nil {
		if errors.Is(err, dbutil.ErrUnsupportedDatabaseVersion) {
			return ErrNewer
		}
		return s.unusable(err)
	}
	if !ours {
		if err := s.within(ctx, "making the tables of the key store", s.found); err != nil {
			return err
		}
	}
	var version int
	err = s.db.QueryRowContext(ctx, "SELECT store, schema_version FROM pairgate_keys").Scan(&s.id, &version)
	switch {
	case err != nil:
		return s.unusable(err)
	case version > schema:
		return ErrNewer
	}
	return nil
}

// found makes our tables, and the id of the database.
func (s *Store) found(ctx context.Context, tx *sql.Tx) error {
	for _, statement := range s.tables() {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, s.query("INSERT INTO pairgate_keys (only_row, store, schema_version) VALUES (1, $1, $2)"),
		uuid.NewString(), schema)
	return err
}

// refuseForeign refuses a database in which there are devices that we did not store.
func (s *Store) refuseForeign(ctx context.Context) error {
	there, err := s.exists(ctx, "whatsmeow_device")
	if err != nil {
		return s.unusable(err)
	}
	if !there {
		return nil
	}
	var devices int
	if err := s.db.QueryRowContext(ctx, "SELECT count(*) FROM whatsmeow_device").Scan(&devices); err != nil {
		return s.unusable(err)
	}
	if devices > 0 {
		return ErrForeign
	}
	return nil
}

func (s *Store) exists(ctx context.Context, table string) (bool, error) {
	q := "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = $1"
	if s.postgres {
		q = "SELECT to_regclass($1) IS NOT NULL"
	}
	var there bool
	err := s.db.QueryRowContext(ctx, s.query(q), table).Scan(&there)
	return there, err
}

// unusable wraps what a database says while it is opened.
func (s *Store) unusable(err error) error {
	if s.postgres {
		return fmt.Errorf("key store: %w", explain(err))
	}
	return fmt.Errorf("%w: %w", ErrFile, err)
}
