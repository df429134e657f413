// Package driver is what the session worker asks of a messenger.
//
// A Driver opens sessions; a Session tells what happens to it as events, never
// as return values: trouble with a connection is something that happens to a
// session, not an error of the call that opened it. A session never reconnects
// by itself. It ends with exactly one instance.Closed, and the worker's state
// machine decides whether and when the next one is opened.
//
// The suite in drivertest says all of this in code; every driver passes it.
package driver

import (
	"context"

	"pairgate.dev/pkg/instance"
)

// Driver links instances to the accounts of one messenger and keeps their keys.
// All methods may be called from many goroutines at once, for one instance by
// one goroutine at a time.
type Driver interface {
	// Provider is the messenger this driver speaks to.
	Provider() instance.Provider

	// Account returns the account that the instance is linked to according to
	// the key store; ok is false when the store holds no keys for it. It may do
	// I/O and returns an error only when the store cannot tell.
	Account(ctx context.Context, id instance.ID) (account instance.Account, ok bool, err error)

	// Pair opens a session that links a new device. It does not block; what
	// happens, failure included, reaches sink. Keys that the store holds for
	// the instance are not used. ctx bounds the life of the session.
	Pair(ctx context.Context, p PairParams, sink Sink) Session

	// Login opens a session with the stored keys. It does not block; without
	// keys the session closes with keys_missing. ctx bounds the life of the session.
	Login(ctx context.Context, p LoginParams, sink Sink) Session

	// Forget deletes the keys of the instance. It succeeds when there are none.
	Forget(ctx context.Context, id instance.ID) error

	// Close releases what the driver holds, after every session was closed.
	Close() error
}

// Sink takes the events of one session in their order. It must not block and
// must not call back into the session.
type Sink func(instance.SessionEvent)

// Session is one connection, or an attempt at one.
type Session interface {
	// Logout unlinks the device at the messenger and returns once the messenger
	// has confirmed it; an error says that it is not known to be unlinked. The
	// stored keys stay until Forget. The session closes in either case, and its
	// Closed event may come before or after Logout returns.
	Logout(ctx context.Context) error

	// Close ends the session without unlinking. No event reaches the sink after
	// it has returned, not even Closed. Closing twice is allowed.
	Close()
}

// Common are the parameters of every session.
type Common struct {
	Instance instance.ID
	// DeviceName is what the phone shows in its list of linked devices; empty for the driver's default.
	DeviceName string
	// Proxy is the only way the session may reach the messenger; nil for a direct connection.
	Proxy *Proxy
}

// PairParams are the parameters of a linking session.
type PairParams struct {
	Common
	Method instance.Method
	// Phone is the number, in digits, that a pairing code is asked for; only with MethodCode.
	Phone string
	// ExpectPhone is the only number, in digits, that may link; empty for any.
	// Another one is unlinked again and the session closes with wrong_phone.
	ExpectPhone string
}

// LoginParams are the parameters of a session with stored keys.
type LoginParams struct{ Common }

// Proxy is a way out to the messenger.
type Proxy struct {
	// Protocol is "http", "https" or "socks5".
	Protocol string
	Host     string
	Port     uint16
	Username string
	Password string
}
