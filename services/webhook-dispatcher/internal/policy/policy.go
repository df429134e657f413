// Package policy decides what an attempt means: taken, to be tried again and
// when, or given up. A policy is data that belongs to a format of webhooks; the
// decision is a pure function.
package policy

import (
	"slices"
	"time"

	"pairgate.dev/services/webhook-dispatcher/internal/retry"
	"pairgate.dev/services/webhook-dispatcher/internal/sender"
)

// Policy of a format.
type Policy struct {
	// Timeout of one exchange.
	Timeout time.Duration
	// Success is the only status that says the receiver took the delivery; 0 for every 2xx.
	Success int
	// Final are statuses after which there is no other attempt.
	Final []int
	// Schedule of retries.
	Schedule retry.Pauses
	// Exact says that a lane pauses as long as Schedule says, whatever the receiver
	// asks for, and that the endpoint never rests longer.
	Exact bool
	// Live is the schedule of what expires: short, its last pause repeated until the life is over.
	Live retry.Schedule
	// MaxAge is how long a delivery may be owed before it is given up untried.
	MaxAge time.Duration
	// DisableOnGone says whether 410 disables the endpoint.
	DisableOnGone bool
	// DisableAfter is for how long every attempt must have failed for the endpoint to be
	// disabled; 0 for never.
	DisableAfter time.Duration
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
		DisableAfter:  5 * 24 * time.Hour,
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
	// MaxRest is the longest that the endpoint may rest because of this; 0 for the usual.
	MaxRest time.Duration
}

// gonePause is the pause before an endpoint that said 410 is asked again, in
// case the registry could not be told to disable it.
const gonePause = time.Minute

// GreenAPI is the policy of GREEN-API's webhooks: only 200 is success, and the same
// notification is sent again every minute for a day. Nothing disables the endpoint.
func GreenAPI() Policy {
	return Policy{
		Timeout:  180 * time.Second,
		Success:  200,
		Schedule: retry.Every(time.Minute),
		Exact:    true,
		MaxAge:   24 * time.Hour,
	}
}

// Evolution is the policy of Evolution API's webhooks as its defaults are: ten attempts
// over about twenty minutes, none after an answer that says the request is wrong.
func Evolution() Policy {
	return Policy{
		Timeout:  30 * time.Second,
		Final:    []int{400, 401, 403, 404, 422},
		Schedule: retry.Backoff{Attempts: 10, Initial: 5 * time.Second, Double: true, Max: 300 * time.Second, Jitter: 0.2},
		Exact:    true,
		MaxAge:   72 * time.Hour,
	}
}

// Classify returns the result as this policy sees it: a status that is no success here
// is an error of the status.
func (p Policy) Classify(res sender.Result) sender.Result {
	if p.Success != 0 && res.OK() && res.StatusCode != p.Success {
		res.Error = sender.ErrorStatus
	}
	return res
}

// Judge decides about attempt number n, from 1, of a delivery. expiring says
// that it has a life; random, in [0,1), spreads the pause.
func (p Policy) Judge(res sender.Result, n int, expiring bool, random float64) Verdict {
	res = p.Classify(res)
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
	if !ok || slices.Contains(p.Final, res.StatusCode) {
		v.Kind = GiveUp
	}
	if p.Exact {
		v.MaxRest = max(pause, time.Second)
		if v.Kind == Retry {
			v.Pause = pause
		} else {
			v.Pause = 0
		}
		return v
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
