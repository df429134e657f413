// Package policy decides what an attempt means: taken, to be tried again and
// when, or given up. A policy is data that belongs to a format of webhooks; the
// decision is a pure function.
package policy

import (
	"time"

	"pairgate.dev/services/webhook-dispatcher/internal/retry"
	"pairgate.dev/services/webhook-dispatcher/internal/sender"
)

// Policy of a format.
type Policy struct {
	// Timeout of one exchange.
	Timeout time.Duration
	// Schedule of retries.
	Schedule retry.Schedule
	// Live is the schedule of what expires: short, its last pause repeated until the life is over.
	Live retry.Schedule
	// MaxAge is how long a delivery may be owed before it is given up untried.
	MaxAge time.Duration
	// DisableOnGone says whether 410 disables the endpoint.
	DisableOnGone bool
}

// Native is the policy of the native format: ten retries over about 32 hours,
// codes and pictures retried every few seconds while they live, at most 72 hours.
func Native() Policy {
	return Policy{
		Timeout:       sender.DefaultTimeout,
		Schedule:      retry.Default(),
		Live:          retry.Schedule{time.Second, 3 * time.Second, 8 * time.Second},
		MaxAge:        72 * time.Hour,
		DisableOnGone: true,
	}
}

// Kind is what becomes of a delivery after an attempt.
type Kind int

// The kinds of verdict.
const (
	// Delivered: the receiver took it.
	Delivered Kind = iota
	// Retry: it stays owed, and its lane waits for Pause.
	Retry
	// GiveUp: it is written down among the dead and no more owed.
	GiveUp
	// Disable: it stays owed, and the endpoint is to be disabled.
	Disable
	// Interrupted: nothing is known, and nothing counts.
	Interrupted
)

// Verdict on one attempt.
type Verdict struct {
	Kind Kind
	// Pause of the lane before the next attempt; for Retry and Disable.
	Pause time.Duration
	// EndpointFault says that the fault is likely to meet every lane of the endpoint.
	EndpointFault bool
	// EndpointPause is how long every lane of the endpoint has to wait; 0 for none.
	EndpointPause time.Duration
}

// gonePause is the pause before an endpoint that said 410 is asked again, in
// case the registry could not be told to disable it.
const gonePause = time.Minute

// Judge decides about attempt number n, from 1, of a delivery. expiring says
// that it has a life; random, in [0,1), spreads the pause.
func (p Policy) Judge(res sender.Result, n int, expiring bool, random float64) Verdict {
	switch {
	case res.OK():
		return Verdict{Kind: Delivered}
	case res.Error == sender.ErrorInterrupted:
		return Verdict{Kind: Interrupted}
	case res.StatusCode == 410 && p.DisableOnGone:
		pause := retry.Jitter(gonePause, random)
		return Verdict{Kind: Disable, Pause: pause, EndpointPause: pause}
	}
	pause, ok := p.pause(n, expiring, random)
	v := Verdict{Kind: Retry, Pause: pause, EndpointFault: endpointFault(res)}
	if !ok {
		v.Kind = GiveUp
	}
	switch res.StatusCode {
	case 429, 503:
		v.EndpointPause = max(pause, res.RetryAfter)
		v.Pause = v.EndpointPause
	default:
		v.Pause = max(pause, res.RetryAfter)
	}
	if v.Kind == GiveUp {
		v.Pause = 0
	}
	return v
}

func (p Policy) pause(n int, expiring bool, random float64) (time.Duration, bool) {
	if !expiring || len(p.Live) == 0 {
		return p.Schedule.Pause(n, random)
	}
	// What lives is dropped when its life is over, so its schedule has no end.
	d, _ := p.Live.Pause(min(n, len(p.Live)), random)
	if normal, ok := p.Schedule.Pause(n, random); ok {
		d = min(d, normal)
	}
	return d, true
}

// endpointFault tells a receiver that is unwell from one that dislikes one event.
func endpointFault(res sender.Result) bool {
	if res.StatusCode != 0 {
		return res.StatusCode >= 500
	}
	return true
}
