package keys_test

import (
	"database/sql"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pairgate.dev/services/session-worker/driver/whatsapp/keys"
)

const secret = "hunter2"

// wantRefused checks that opening fails with an error that says what to do and
// does not show the password.
func wantRefused(t *testing.T, dsn string, want error, hint string) {
	t.Helper()
	s, err := keys.Open(t.Context(), keys.Options{DSN: dsn})
	if err == nil {
		shut(t, s)
		t.Fatal("it was opened")
	}
	if !errors.Is(err, want) || !strings.Contains(err.Error(), hint) {
		t.Errorf("%v, want %v with %q", err, want, hint)
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the error shows the password: %v", err)
	}
}

func TestErrorsOfOpeningSayWhatToDoAndShowNoPassword(t *testing.T) {
	dsn := cluster.Database(t)
	with := func(change func(*url.URL)) string {
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(u.User.Username(), secret)
		change(u)
		return u.String()
	}
	t.Run("nobody listens", func(t *testing.T) {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := free.Close(); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, with(func(u *url.URL) { u.Host = free.Addr().String() }), keys.ErrUnreachable, free.Addr().String())
	})
	t.Run("wrong password", func(t *testing.T) {
		wantRefused(t, with(func(*url.URL) {}), keys.ErrRefused, "password is wrong")
	})
	t.Run("no such database", func(t *testing.T) {
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		u.Path = "/nowhere"
		wantRefused(t, u.String(), keys.ErrRefused, "create it")
	})
	t.Run("no rights", func(t *testing.T) {
		cluster.Exec(t, "CREATE ROLE guest LOGIN PASSWORD '"+secret+"'")
		wantRefused(t, with(func(u *url.URL) { u.User = url.UserPassword("guest", secret) }), keys.ErrRefused, "own the database")
	})
	for _, bad := range []string{"postgres://u:" + secret + "@host:port/db", "postgres://u:" + secret + "@host/db?sslmode=perhaps",
		"postgres://u:" + secret + "%zz@host/db", "postgresql://u:" + secret + "@host:1:2/db"} {
		t.Run("bad URL", func(t *testing.T) { wantRefused(t, bad, keys.ErrDSN, "sslmode=verify-full") })
	}
	t.Run("no directory", func(t *testing.T) {
		wantRefused(t, filepath.Join(t.TempDir(), "missing", "whatsapp.db"), keys.ErrFile, "no such file")
	})
	t.Run("not a database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "whatsapp.db")
		if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, path, keys.ErrFile, "not a database")
	})
	t.Run("behind a pooler", func(t *testing.T) {
		wantRefused(t, newLine(t, cluster.Addr(), true).through(t, dsn), keys.ErrPooler, "server itself")
	})
}

func TestADatabaseWithDevicesOfAnotherProgramIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		driver := "sqlite"
		if keys.IsPostgreSQL(dsn) {
			driver = "pgx"
		}
		s := open(t, dsn)
		put(t, s, device(1))
		shut(t, s)
		db, err := sql.Open(driver, dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		// What is left is what another program's database looks like.
		for _, table := range []string{"pairgate_keys", "pairgate_links"} {
			if _, err := db.ExecContext(t.Context(), "DROP TABLE "+table); err != nil {
				t.Fatal(err)
			}
		}
		wantRefused(t, dsn, keys.ErrForeign, "a database of its own")
	})
}

func TestTablesOfALaterVersionAreRefused(t *testing.T) {
	for _, change := range []string{"UPDATE pairgate_keys SET schema_version = 99", "UPDATE whatsmeow_version SET version = 999, compat = 999"} {
		onBoth(t, func(t *testing.T, dsn string) {
			shut(t, open(t, dsn))
			driver := "sqlite"
			if keys.IsPostgreSQL(dsn) {
				driver = "pgx"
			}
			db, err := sql.Open(driver, dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.ExecContext(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, dsn, keys.ErrNewer, "later version")
		})
	}
}

func TestWorkersThatStartTogetherMakeTheTablesOnce(t *testing.T) {
	dsn := cluster.Database(t)
	var opening sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		opening.Go(func() {
			s, err := keys.Open(t.Context(), keys.Options{DSN: dsn})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = s.ID()
			shut(t, s)
		})
	}
	opening.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("ids %q, want one", ids)
		}
	}
}

func TestKeysAreForTheirOwnerOnlyWhateverTheDirectoryIsCalled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "50% of a?b#c &d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "whatsapp.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	link(t, s, one, device(1))
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 2 {
		t.Fatalf("%d files, %v; want the database and its log", len(files), err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v; want 0600", f.Name(), info.Mode(), err)
		}
	}
}

// A status "online" is flushed to the disk, so its keys must be too; and the
// library works only with foreign keys.
func TestSQLiteFlushesEachCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "whatsapp.db")
	s := open(t, path)
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "10000"} {
		if got := s.Pragma(t, pragma); got != want {
			t.Errorf("%s is %s, want %s", pragma, got, want)
		}
	}
}
