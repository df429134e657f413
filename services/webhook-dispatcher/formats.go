package dispatcher

import (
	"context"
	"fmt"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/services/webhook-dispatcher/internal/format"
	"pairgate.dev/services/webhook-dispatcher/internal/global"
	"pairgate.dev/services/webhook-dispatcher/internal/policy"
)

// makeFormats makes every format with its policy, as they are configured.
func (d *dispatcher) makeFormats(past format.Past) format.Formats {
	rules := policy.Native()
	rules.Schedule, rules.Timeout, rules.MaxAge = d.cfg.RetrySchedule, d.cfg.Timeout, d.cfg.MaxAge
	evolution := format.Evolution{Delivery: d.cfg.Evolution.policy(d.cfg.MaxAge), ServerURL: d.cfg.Evolution.ServerURL,
		Hooks: d.hooks.ByInstance, Past: past, Global: global.ID}
	if d.cfg.Evolution.ExposeTokens {
		evolution.Token = d.token
	}
	return format.Formats{
		instance.FormatNative:    format.Native{Delivery: rules},
		instance.FormatGreenAPI:  format.GreenAPI{Delivery: policy.GreenAPI()},
		instance.FormatEvolution: evolution,
	}
}

// token returns the token of an instance, empty for one that is not known any more.
func (d *dispatcher) token(_ context.Context, id instance.ID) (string, error) {
	rec, _, ok := d.views.Instances.Get(id)
	if !ok || len(rec.GetSealedToken()) == 0 {
		return "", nil
	}
	token, err := d.ring.Open(rec.GetSealedToken(), seal.ForToken(string(id)))
	if err != nil {
		return "", fmt.Errorf("open the token of instance %s: %w", id, err)
	}
	return string(token), nil
}
