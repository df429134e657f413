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

func TestJudgeInTheWordsOfOtherProducts(t *testing.T) {
	status := func(code int) sender.Result {
		r := sender.Result{StatusCode: code, Error: sender.ErrorStatus, RetryAfter: time.Hour}
		if code < 300 {
			r.Error = sender.ErrorNone
		}
		return r
	}
	timeout := sender.Result{Error: sender.ErrorTimeout}
	const s, m = time.Second, time.Minute
	green, evolution := policy.GreenAPI(), policy.Evolution()
	for _, c := range []struct {
		name  string
		rules policy.Policy
		res   sender.Result
		n     int
		want  policy.Verdict
	}{
		{"GreenTaken", green, status(200), 1, policy.Verdict{Kind: policy.Delivered}},
		{"GreenOnly200", green, status(201), 1, policy.Verdict{Kind: policy.Retry, Pause: m, MaxRest: m}},
		{"GreenNoContent", green, status(204), 5000, policy.Verdict{Kind: policy.Retry, Pause: m, MaxRest: m}},
		{"GreenNeverDisabled", green, status(410), 9, policy.Verdict{Kind: policy.Retry, Pause: m, MaxRest: m}},
		{"GreenTooMany", green, status(429), 1, policy.Verdict{Kind: policy.Retry, Pause: m, MaxRest: m}},
		{"GreenDown", green, status(503), 40, policy.Verdict{Kind: policy.Retry, Pause: m, MaxRest: m, EndpointFault: true}},
		{"GreenTimeout", green, timeout, 2, policy.Verdict{Kind: policy.Retry, Pause: m, MaxRest: m, EndpointFault: true}},
		{"EvolutionTaken", evolution, status(204), 1, policy.Verdict{Kind: policy.Delivered}},
		{"EvolutionFirst", evolution, status(500), 1, policy.Verdict{Kind: policy.Retry, Pause: 5 * s, MaxRest: 5 * s, EndpointFault: true}},
		{"EvolutionLast", evolution, status(500), 9, policy.Verdict{Kind: policy.Retry, Pause: 300 * s, MaxRest: 300 * s, EndpointFault: true}},
		{"EvolutionExhausted", evolution, timeout, 10, policy.Verdict{Kind: policy.GiveUp, MaxRest: s, EndpointFault: true}},
		{"EvolutionGone", evolution, status(410), 2, policy.Verdict{Kind: policy.Retry, Pause: 10 * s, MaxRest: 10 * s}},
		{"EvolutionWrongRequest", evolution, status(404), 1, policy.Verdict{Kind: policy.GiveUp, MaxRest: 5 * s}},
		{"EvolutionRedirect", evolution, sender.Result{StatusCode: 302, Error: sender.ErrorRedirect}, 1, policy.Verdict{Kind: policy.Retry, Pause: 5 * s, MaxRest: 5 * s}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.rules.Judge(c.res, c.n, false, 0.5); got != c.want {
				t.Fatalf("got %+v, want %+v", got, c.want)
			}
		})
	}
	if green.Timeout != 180*s || green.MaxAge != 24*time.Hour || green.DisableOnGone || evolution.Timeout != 30*s || evolution.DisableOnGone {
		t.Error("another policy")
	}
	if res := green.Classify(status(201)); res.OK() {
		t.Error("201 is taken for a success in the log of attempts")
	}
}
