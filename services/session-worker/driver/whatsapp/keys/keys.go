// Package keys keeps the keys of linked WhatsApp devices in an SQL database, and
// knows which instance each device belongs to.
//
// The tables whatsmeow_* are the library's own (its package sqlstore). Beside
// them stand two of ours: pairgate_keys, one row that names the database, and
// pairgate_links, which notes the device that an instance is about to be linked
// as before the library stores it. Whatever moment a crash chooses, each stored
// device can therefore be told from its note: it is the instance's, or it is an
// orphan that is still to be unlinked at the messenger.
//
// One worker may keep the database in a file (SQLite) of its own data directory.
// Several workers share one PostgreSQL database, and [Store.Hold] sees to it that
// only one of them runs sessions with the keys of an instance. The database is
// Pairgate's alone: devices that something else stored there would be taken for
// orphans and unlinked, so [Open] refuses a database in which it finds such.
package keys

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.uber.org/zap"
)

// Options are what a Store is opened with.
type Options struct {
	// DSN is the URL of a PostgreSQL database (postgres:// or postgresql://), or
	// else the path of an SQLite file, which is made when it is missing. The file
	// must be in a directory that this process has locked.
	DSN string
	// Log is told when holds are lost; nil for nobody.
	Log *zap.Logger
}

// Store is the database of one process. It is safe for concurrent use.
type Store struct {
	db        *sql.DB
	container *sqlstore.Container
	postgres  bool
	id        string
	holds     *holds
}

const (
	// openTimeout bounds opening, the upgrade of the tables by another worker included.
	openTimeout = time.Minute
	// callTimeout bounds each call of a Store, beside the caller's own deadline.
	callTimeout = 10 * time.Second
)

// IsPostgreSQL tells a DSN of PostgreSQL from the path of a file.
func IsPostgreSQL(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// Open opens the database and brings its tables up to date; of several processes
// that do so at once, one does it and the others wait. It takes a minute at most.
//
// The error says what to do and never shows the DSN's password: ErrUnreachable
// when the server does not answer, or not yet; ErrDSN for a URL that cannot be
// read; ErrRefused when the server does not let us in; ErrPooler when there is a
// connection pooler in between; ErrForeign for the database of another program;
// ErrNewer for tables of a later version.
func Open(ctx context.Context, o Options) (*Store, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	log := o.Log
	if log == nil {
		log = zap.NewNop()
	}
	s := &Store{postgres: IsPostgreSQL(o.DSN), holds: newHolds(log)}
	var err error
	if s.postgres {
		err = s.openPostgres(ctx, o.DSN)
	} else {
		err = s.openSQLite(ctx, o.DSN)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// ID names the database. It is made once, together with the tables, and is part
// of the database's backups; two databases never have the same.
func (s *Store) ID() string { return s.id }

// Shared says whether other workers can use the same database.
func (s *Store) Shared() bool { return s.postgres }

// NewDevice returns fresh keys for linking. They are stored only once they are
// linked, by the library, and [Store.Note] must have been called before.
func (s *Store) NewDevice() *store.Device { return s.container.NewDevice() }

// Ping says whether the database answers; its errors are those of [Open].
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return explain(s.db.PingContext(ctx))
}

// Close ends every hold and closes the database. No device may be in use.
func (s *Store) Close() error {
	s.holds.close()
	if s.db == nil {
		return nil
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("closing the key store: %w", err)
	}
	return nil
}

// within runs a transaction under a deadline. The error names what was to be done.
func (s *Store) within(ctx context.Context, what string, do func(context.Context, *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", what, explain(err))
	}
	if err := do(ctx, tx); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", what, explain(err)), rolledBack(tx.Rollback()))
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%s: %w", what, explain(err))
	}
	return nil
}

// rolledBack drops what a roll-back says of a transaction that has ended already.
func rolledBack(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// query puts the placeholders $1, $2 … as the database wants them.
func (s *Store) query(q string) string {
	if s.postgres {
		return q
	}
	return strings.ReplaceAll(q, "$", "?")
}
