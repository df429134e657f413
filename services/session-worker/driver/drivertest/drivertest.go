// Package drivertest is the suite that every driver passes. It says in code what
// package driver promises: one sink at a time, exactly one Closed and nothing
// after it, no event after Close has returned, keys stored before Linked, and the
// reason with which a session closes for each thing that can happen to it.
//
// A driver's own test provides a Harness and calls Run.
package drivertest

import (
	"context"
	"testing"
	"time"

	"pairgate.dev/services/session-worker/driver"
)

// Harness is a driver and the emulated messenger that it is tried against.
type Harness struct {
	// Package is the import path of the driver; no goroutine of it may be left
	// once a driver is closed.
	Package string

	// Open returns a driver over the key store of the given name. Opened again
	// with the same name it stands for the same worker after a restart, and finds
	// the same keys. The suite closes it. No two are open on one store at a time.
	Open func(t *testing.T, store string) driver.Driver

	// OpenUnreachable is Open for a messenger that takes no connections.
	OpenUnreachable func(t *testing.T, store string) driver.Driver

	// Messenger is the other side.
	Messenger Messenger

	Features Features
}

// Features says what the messenger offers beside the rest.
type Features struct {
	// PairingCode: it can be linked by typing a code.
	PairingCode bool
	// PairingCodeOutlives: a pairing code stays good after the session that asked for it
	// is closed, and is what the next one gets; else it ends with its session.
	PairingCodeOutlives bool
	// Password: an account may ask for a password.
	Password bool
	// Passkey: an account may ask for a passkey.
	Passkey bool
	// Suspend: an account may be restricted while connected.
	Suspend bool
	// Replace: a second connection of a device ends the first.
	Replace bool
	// BanAtLogin: a ban is told at the next login; a session that is online loses its connection.
	BanAtLogin bool
	// Presence: sessions are driver.PresenceSetters.
	Presence bool
	// QRTimeout: the messenger may stop giving codes to a session.
	QRTimeout bool
}

// Account is an account for Messenger.AddAccount.
type Account struct {
	// Phone is in digits. The suite never uses one twice.
	Phone    string
	Name     string
	Password string
	Passkey  bool
}

// Messenger is what the suite asks of the emulated messenger and its phones.
// Methods that a missing feature makes pointless may be nil-like: they are not called.
type Messenger interface {
	AddAccount(ctx context.Context, a Account) error
	// Scan lets the phone scan a QR text. It returns once the device is linked,
	// or once a password or passkey was asked for, and fails when it was not.
	Scan(ctx context.Context, phone, code string) error
	// EnterCode lets the phone type a pairing code; returns like Scan.
	EnterCode(ctx context.Context, phone, code string) error
	// Devices counts the linked devices of the phone.
	Devices(ctx context.Context, phone string) (int, error)
	// Unlink removes every linked device on the phone.
	Unlink(ctx context.Context, phone string) error
	// Replace opens another connection of the device that is connected.
	Replace(ctx context.Context, phone string) error
	// Drop cuts the connection of the device.
	Drop(ctx context.Context, phone string) error
	// Ban blocks the account until the time, for good when it is zero.
	Ban(ctx context.Context, phone string, until time.Time) error
	// Suspend restricts the account until the time, Unsuspend ends it.
	Suspend(ctx context.Context, phone string, until time.Time) error
	Unsuspend(ctx context.Context, phone string) error
	// Outdated makes the messenger refuse, or accept again, the driver's client version.
	Outdated(ctx context.Context, refuse bool) error
	// QuickCodes makes codes live so short that a test sees several of them; perSession
	// above 0 is how many a session gets. Both end with normal.
	QuickCodes(ctx context.Context, perSession int) error
	NormalCodes(ctx context.Context) error
	// PasskeyAnswer is what an authenticator that knows the account answers to the options.
	PasskeyAnswer(options string) (response string, err error)
}

// Run runs the suite. Its tests share the messenger and run one after the other.
func Run(t *testing.T, h Harness) {
	t.Helper()
	type test struct {
		name    string
		offered bool
		run     func(*testing.T, *suite)
	}
	for _, tc := range []test{
		{"PairByQR", true, testPairByQR},
		{"CodesAreRefreshed", true, testCodesAreRefreshed},
		{"CodesRunOut", h.Features.QRTimeout, testCodesRunOut},
		{"PairByCode", h.Features.PairingCode, testPairByCode},
		{"PairingCodeLives", h.Features.PairingCode, testPairingCodeLives},
		{"PairingCodeWithoutPhone", h.Features.PairingCode, testPairingCodeWithoutPhone},
		{"LoginAfterRestart", true, testLoginAfterRestart},
		{"KeysMissing", true, testKeysMissing},
		{"Logout", true, testLogout},
		{"Forget", true, testForget},
		{"CloseAtOnce", true, testCloseAtOnce},
		{"CloseWhilePairing", true, testCloseWhilePairing},
		{"CloseWhenOnline", true, testCloseWhenOnline},
		{"CloseAfterClosed", true, testCloseAfterClosed},
		{"CancelledContext", true, testCancelledContext},
		{"CancelledBefore", true, testCancelledBefore},
		{"Unlinked", true, testUnlinked},
		{"UnlinkedWhileAway", true, testUnlinkedWhileAway},
		{"Replaced", h.Features.Replace, testReplaced},
		{"Dropped", true, testDropped},
		{"Banned", true, testBanned},
		{"Suspended", h.Features.Suspend, testSuspended},
		{"Outdated", true, testOutdated},
		{"WrongPhone", true, testWrongPhone},
		{"ExpectedPhone", true, testExpectedPhone},
		{"Unreachable", true, testUnreachable},
		{"TwoAtOnce", true, testTwoAtOnce},
		{"PairAgain", true, testPairAgain},
		{"Password", h.Features.Password, testPassword},
		{"Passkey", h.Features.Passkey, testPasskey},
		{"Presence", h.Features.Presence, testPresence},
	} {
		if tc.offered {
			t.Run(tc.name, func(t *testing.T) { tc.run(t, newSuite(t, h)) })
		}
	}
}
