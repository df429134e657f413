package keys

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"go.mau.fi/whatsmeow/store/sqlstore"
)

// The pool of one process. The sessions share it; an idle session needs none.
const (
	postgresConns    = 16
	postgresIdle     = 4
	postgresIdleTime = 5 * time.Minute
	// postgresLife makes connections find a server that has taken over from another.
	postgresLife = time.Hour
)

const (
	// dialTimeout bounds reaching the server, when the DSN has no connect_timeout.
	dialTimeout = 5 * time.Second
	// deadAfter is when data that the server does not acknowledge ends a connection.
	// Without it a write to a machine that is gone would hang for a quarter of an hour.
	deadAfter = 15 * time.Second
)

// openPostgres opens the pool and upgrades the tables while it holds a lock that
// other workers wait for.
func (s *Store) openPostgres(ctx context.Context, dsn string) error {
	config, err := parsePostgres(dsn)
	if err != nil {
		return err
	}
	s.holds.connect = func(ctx context.Context) (*pgx.Conn, error) { return connect(ctx, forHolds(config)) }
	s.db = stdlib.OpenDB(*config)
	s.db.SetMaxOpenConns(postgresConns)
	s.db.SetMaxIdleConns(postgresIdle)
	s.db.SetConnMaxIdleTime(postgresIdleTime)
	s.db.SetConnMaxLifetime(postgresLife)
	s.container = sqlstore.NewWithDB(s.db, "pgx", nil)

	conn, err := connect(ctx, config)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1, $2)", lockClass, lockUpgrade); err != nil {
		return fmt.Errorf("waiting for another worker that upgrades the key store: %w", explain(err))
	}
	return s.upgrade(ctx) // The lock ends with the connection.
}

// parsePostgres reads the URL. What the parser says of a bad one may quote it,
// password included, so it is not passed on.
func parsePostgres(dsn string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, ErrDSN
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = dialTimeout
	}
	dialer := net.Dialer{Control: giveUpAfter(deadAfter),
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}}
	config.DialFunc = dialer.DialContext
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "pairgate-session-worker"
	}
	return config, nil
}

// connect makes a connection whose locks are its own: behind a pooler, the next
// query may run in another session of the server, or in one that others use too.
// A pooler gives itself away by the process number, which is not the session's.
func connect(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, explain(err)
	}
	var process uint32
	err = explain(conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&process))
	if err == nil && process != conn.PgConn().PID() {
		err = ErrPooler
	}
	if err != nil {
		hangUp(conn)
		return nil, err
	}
	return conn, nil
}

// hangUp closes a connection without waiting for the server.
func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	// The connection is gone either way.
	if err := conn.Close(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
		_ = conn.PgConn().Conn().Close()
	}
}
