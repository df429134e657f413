package policy_test

import (
	"testing"
	"time"

	"pairgate.dev/services/webhook-dispatcher/internal/policy"
	"pairgate.dev/services/webhook-dispatcher/internal/sender"
)

func TestJudge(t *testing.T) {
	status := func(code int, after time.Duration) sender.Result {
		r := sender.Result{StatusCode: code, RetryAfter: after, Error: sender.ErrorStatus}
		if code < 300 {
			r.Error = sender.ErrorNone
		}
		return r
	}
	const s, m, h = time.Second, time.Minute, time.Hour
	cases := []struct {
		name     string
		res      sender.Result
		n        int
		expiring bool
		want     policy.Verdict
	}{
		{"Taken", status(204, 0), 1, false, policy.Verdict{Kind: policy.Delivered}},
		{"First", status(500, 0), 1, false, policy.Verdict{Kind: policy.Retry, Pause: 5 * s, EndpointFault: true}},
		{"Tenth", status(500, 0), 10, false, policy.Verdict{Kind: policy.Retry, Pause: 16 * h, EndpointFault: true}},
		{"Exhausted", status(500, 0), 11, false, policy.Verdict{Kind: policy.GiveUp, EndpointFault: true}},
		{"BadRequestBlocksItsLaneOnly", status(400, 0), 2, false, policy.Verdict{Kind: policy.Retry, Pause: 30 * s}},
		{"Timeout", sender.Result{Error: sender.ErrorTimeout}, 1, false, policy.Verdict{Kind: policy.Retry, Pause: 5 * s, EndpointFault: true}},
		{"Gone", status(410, 0), 1, false, policy.Verdict{Kind: policy.Disable, Pause: m, EndpointPause: m}},
		{"Interrupted", sender.Result{Error: sender.ErrorInterrupted}, 1, false, policy.Verdict{Kind: policy.Interrupted}},
		{"TooManyWithRetryAfter", status(429, 90*s), 1, false, policy.Verdict{Kind: policy.Retry, Pause: 90 * s, EndpointPause: 90 * s}},
		{"TooManyWithout", status(429, 0), 2, false, policy.Verdict{Kind: policy.Retry, Pause: 30 * s, EndpointPause: 30 * s}},
		{"UnavailableWithShortRetryAfter", status(503, s), 3, false, policy.Verdict{Kind: policy.Retry, Pause: 2 * m, EndpointPause: 2 * m, EndpointFault: true}},
		{"RetryAfterOfAnotherStatusHoldsTheLane", status(404, h), 1, false, policy.Verdict{Kind: policy.Retry, Pause: h}},
		{"PictureIsRetriedSoon", status(500, 0), 1, true, policy.Verdict{Kind: policy.Retry, Pause: s, EndpointFault: true}},
		{"PictureHasNoLastAttempt", status(500, 0), 40, true, policy.Verdict{Kind: policy.Retry, Pause: 8 * s, EndpointFault: true}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := policy.Native().Judge(c.res, c.n, c.expiring, 0.5); got != c.want {
				t.Fatalf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
