package driver

import (
	"context"
	"errors"

	"pairgate.dev/pkg/instance"
)

// What follows are capabilities that a session or a driver may have beside the
// required ones; the worker finds them by type assertion.

// PasswordTaker is a session that can be given the account's password after
// instance.PasswordNeeded. An error says that the password did not reach the
// messenger; whether it was right comes as an event.
type PasswordTaker interface {
	SubmitPassword(ctx context.Context, password string) error
}

// PasskeyTaker is a session that can be given a WebAuthn assertion after
// instance.PasskeyNeeded.
type PasskeyTaker interface {
	// SubmitPasskey hands over the authenticator's answer as JSON.
	SubmitPasskey(ctx context.Context, response string) error
	// ConfirmPasskey says that the user has compared the confirmation code.
	ConfirmPasskey(ctx context.Context) error
}

// PresenceSetter is a session that can show the account as available or not.
type PresenceSetter interface {
	SetPresence(ctx context.Context, available bool) error
}

// VersionSetter is a driver that shows the messenger a client version, which can
// be changed while sessions run. The messenger refuses a version that has grown
// too old, for every session alike. While it is known to refuse the one in force,
// Pair and Login need no connection to close with client_outdated; now and then
// one is let through to find out whether that is still so.
type VersionSetter interface {
	// OwnVersion returns the version that the driver was built with.
	OwnVersion() string

	// SetClientVersion changes what sessions show that are opened from now on; open
	// ones stay. Empty goes back to OwnVersion. A version that is set is not known
	// to be refused, even if it was before. It returns an error, and changes nothing,
	// when the version does not have the messenger's form.
	SetClientVersion(version string) error

	// OnVersionVerdict has fn told when the messenger refuses the version in force
	// and was not known to, and when it accepts it and was known to refuse it. It is
	// called once, before the first session is opened. fn may be called by any
	// goroutine and does not block.
	OnVersionVerdict(fn func(version string, refused bool))
}

// ErrNotAsked is returned by optional capabilities when the messenger has not asked for what was given.
var ErrNotAsked = errors.New("the messenger has not asked for this")

// Vault keeps the small credentials of instances, sealed, where every worker
// can reach them. Drivers with a database of their own do not use it.
type Vault interface {
	// Load returns what was stored for the instance; ok is false when nothing was.
	Load(ctx context.Context, provider instance.Provider, id instance.ID) (secret []byte, ok bool, err error)
	// Store replaces what is stored. It fails when another worker has taken the instance over since Load.
	Store(ctx context.Context, provider instance.Provider, id instance.ID, secret []byte) error
	// Delete forgets what is stored; it succeeds when there is nothing.
	Delete(ctx context.Context, provider instance.Provider, id instance.ID) error
}
