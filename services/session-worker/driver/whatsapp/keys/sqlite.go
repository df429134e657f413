package keys

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"go.mau.fi/whatsmeow/store/sqlstore"
	_ "modernc.org/sqlite" // database/sql driver "sqlite"
)

// sqliteConns is how many connections an SQLite file is used through. Readers do
// not wait for the writer (WAL); writers wait for each other, and with few of
// them in the queue of the file, which is not a fair one, none waits too long.
// The others queue for a connection, first come, first served. One connection
// would do for that, but a call of the library that needs a second one inside
// its transaction would then wait for ever.
const sqliteConns = 4

// openSQLite opens the file. Every commit is flushed to the disk
// (synchronous=FULL; the WAL mode's NORMAL may lose the last ones when the power
// fails): the status "online" that follows a linking is flushed as well, and a
// status that outlives its keys is a device that only a new linking brings back.
// Transactions take the write lock as they begin, because one that has read
// before it asks for the lock is refused at once when another has written.
func (s *Store) openSQLite(ctx context.Context, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	// SQLite gives its companion files (-wal, -shm) the mode of this one.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = errors.Join(file.Chmod(0o600), file.Close())
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	settings := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "foreign_keys(1)", "journal_mode(WAL)", "synchronous(FULL)"}}
	s.db, err = sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+settings.Encode())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	s.db.SetMaxOpenConns(sqliteConns)
	s.db.SetMaxIdleConns(sqliteConns)
	s.container = sqlstore.NewWithDB(s.db, "sqlite", nil)
	return s.upgrade(ctx)
}
