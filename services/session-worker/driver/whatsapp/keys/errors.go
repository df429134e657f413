package keys

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// ErrHeld says that sessions with these keys run elsewhere: in another worker,
	// or in this one and not closed yet.
	ErrHeld = errors.New("the keys of the instance are in use by another session")
	// ErrClosed says that the Store was closed.
	ErrClosed = errors.New("the key store is closed")
	// ErrUnreachable says that PostgreSQL does not answer, or not yet. Trying again may help.
	ErrUnreachable = errors.New("PostgreSQL cannot be reached; check that it runs, and host and port of the URL")
	// ErrDSN says that the URL of the database cannot be read.
	ErrDSN = errors.New("the URL of the database cannot be read; it looks like " +
		"postgres://user:password@host:5432/database?sslmode=verify-full, with special characters in the password written as %XX")
	// ErrRefused says that PostgreSQL answered and did not let us in, or does not let us do what we need.
	ErrRefused = errors.New("PostgreSQL refuses")
	// ErrPooler says that the URL leads to a connection pooler.
	ErrPooler = errors.New("there is a connection pooler before PostgreSQL, behind which locks are not safe; " +
		"give the URL of the PostgreSQL server itself")
	// ErrForeign says that the database belongs to another program.
	ErrForeign = errors.New("the database holds WhatsApp devices of another program, which Pairgate would unlink; " +
		"give Pairgate a database of its own")
	// ErrNewer says that a later version of Pairgate has changed the tables.
	ErrNewer = errors.New("the database was upgraded by a later version of Pairgate; run that version, or restore a backup of before")
	// ErrFile says that the SQLite file cannot be used.
	ErrFile = errors.New("the file of the key store cannot be used")
)

// advice says what to do about the errors of PostgreSQL that an operator can cause.
var advice = map[string]string{
	"28P01": "the user or the password is wrong",
	"28000": "this user may not connect from here; check the user, and pg_hba.conf",
	"3D000": "there is no such database; create it, owned by the user of the URL",
	"42501": "the user lacks a right; let it own the database, or its schema",
	"53300": "too many connections; raise max_connections",
	"25006": "the server takes no writes; name the primary, or add target_session_attrs=read-write to the URL",
}

// starting are the errors of a server that will answer in a moment.
var starting = map[string]bool{"57P03": true, "57P01": true, "57P02": true, "53300": true}

// explain tells errors of PostgreSQL in words that say what to do. Errors of
// connecting name the address and never what the URL holds beside it.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		what := advice[refused.Code]
		switch {
		case starting[refused.Code] && what != "":
			return fmt.Errorf("%w: %s", ErrUnreachable, what)
		case starting[refused.Code]:
			return fmt.Errorf("%w: it is starting or stopping", ErrUnreachable)
		case what != "":
			return fmt.Errorf("%w: %s (%s)", ErrRefused, what, refused.Code)
		}
		return fmt.Errorf("%w: %s (%s)", ErrRefused, refused.Message, refused.Code)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return fmt.Errorf("%w: %w", ErrUnreachable, reason(err))
	}
	if _, ok := errors.AsType[net.Error](err); ok && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: %w", ErrUnreachable, reason(err))
	}
	return err
}

// reason is the innermost part of an error of connecting that says something to people.
func reason(err error) error {
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		return operation
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		return name
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("it did not answer in time")
	}
	return errors.New("the connection could not be made; with sslmode in the URL, check the server's certificate")
}
