package client

import (
	"context"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

const (
	// pictureTimeout is how long a picture is awaited after its code.
	pictureTimeout = 2 * time.Second
	// rotationTimeout is how long a reader of the current code waits for the next
	// one, or for its picture, when the one before is just over.
	rotationTimeout = time.Second
)

// Why a code is shown without its picture.
const (
	// RendererUnavailable: the picture did not come in the time that drawing takes.
	RendererUnavailable = "renderer_unavailable"
	// NotDrawnYet: the caller did not wait long enough for the picture.
	NotDrawnYet = "not_drawn_yet"
)

// Outcome is what a wait ended with.
type Outcome struct {
	bus.Snapshot
	// Settled says that what was awaited has come, and not just the end of the wait.
	Settled bool
	// NoImage says why the picture of Code is missing; empty when it is there or
	// there is no code.
	NoImage string
}

// AwaitConnect waits until the request, a connect by the method, is settled: a
// code with its picture, for method code a pairing code, or a phase other than
// connecting and pairing. A picture is awaited for two seconds after its code. It
// returns what there is when the wait or ctx ends first.
func (c *Client) AwaitConnect(ctx context.Context, id instance.ID, request uint64, method instance.Method, wait time.Duration) Outcome {
	observed := func(s bus.Snapshot) bool { return s.Known && s.Status.ObservedRequest >= request }
	settled := func(s bus.Snapshot) bool {
		switch {
		case !observed(s):
			return false
		case s.Status.Phase != instance.Connecting && s.Status.Phase != instance.Pairing:
			return true
		case method == instance.MethodCode:
			return s.PairingCode != nil
		}
		return s.QR != nil
	}
	undrawn := func(s bus.Snapshot) bool {
		return method != instance.MethodCode && observed(s) && s.Code != nil && s.QR == nil
	}
	return c.awaitPicture(ctx, id, wait, pictureTimeout, settled, undrawn)
}

// AwaitQR returns the current code of the instance with its picture. While a
// window is open it waits a second for what is about to come, the picture or,
// at a rotation, the next code; with wait it waits as long as that for a code, also
// while no window is open. It opens none. A linked instance ends the wait.
func (c *Client) AwaitQR(ctx context.Context, id instance.ID, wait time.Duration) Outcome {
	now := c.views.Sessions.Current(id)
	if wait < rotationTimeout && now.Status.Phase == instance.Pairing {
		wait = rotationTimeout
	}
	settled := func(s bus.Snapshot) bool { return s.QR != nil || Linked(s) }
	undrawn := func(s bus.Snapshot) bool { return s.Code != nil && s.QR == nil }
	return c.awaitPicture(ctx, id, wait, min(max(wait, rotationTimeout), pictureTimeout), settled, undrawn)
}

// AwaitPairingCode is AwaitQR for the code to be typed.
func (c *Client) AwaitPairingCode(ctx context.Context, id instance.ID, wait time.Duration) Outcome {
	return c.await(ctx, id, wait, func(s bus.Snapshot) bool { return s.PairingCode != nil || Linked(s) })
}

// AwaitStatus waits until done is true of the instance's status.
func (c *Client) AwaitStatus(ctx context.Context, id instance.ID, wait time.Duration, done func(instance.Status) bool) Outcome {
	return c.await(ctx, id, wait, func(s bus.Snapshot) bool { return s.Known && done(s.Status) })
}

// Linked says whether the instance is linked to an account.
func Linked(s bus.Snapshot) bool { return s.Status.Account != nil }

func (c *Client) await(ctx context.Context, id instance.ID, wait time.Duration, done func(bus.Snapshot) bool) Outcome {
	never := func(bus.Snapshot) bool { return false }
	return c.awaitPicture(ctx, id, wait, 0, done, never)
}

// awaitPicture waits until settled, or until undrawn, a code without its picture,
// has lasted for the patience.
func (c *Client) awaitPicture(ctx context.Context, id instance.ID, wait, patience time.Duration, settled, undrawn func(bus.Snapshot) bool) Outcome {
	snap := c.views.Sessions.Current(id)
	if wait <= 0 || settled(snap) {
		return outcome(snap, settled(snap), undrawn(snap), NotDrawnYet)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		snap, err := c.views.Sessions.Await(ctx, id, func(s bus.Snapshot) bool { return settled(s) || undrawn(s) })
		if err != nil || settled(snap) {
			return outcome(snap, err == nil, undrawn(snap), NotDrawnYet)
		}
		drawn, stop := context.WithTimeout(ctx, patience)
		snap, err = c.views.Sessions.Await(drawn, id, func(s bus.Snapshot) bool { return !undrawn(s) })
		stop()
		if err != nil && undrawn(snap) {
			if ctx.Err() != nil {
				return outcome(snap, true, true, NotDrawnYet)
			}
			return outcome(snap, true, true, RendererUnavailable)
		}
	}
}

func outcome(snap bus.Snapshot, settled, undrawn bool, reason string) Outcome {
	o := Outcome{Snapshot: snap, Settled: settled || undrawn}
	if undrawn {
		o.NoImage = reason
	}
	return o
}
