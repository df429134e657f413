package dispatcher

import (
	"net/netip"
	"time"

	"pairgate.dev/pkg/seal"
	"pairgate.dev/services/webhook-dispatcher/internal/retry"
)

// Config is what an operator sets for a dispatcher. Zero values stand for the defaults.
type Config struct {
	// MasterKey opens the secrets of endpoints.
	MasterKey seal.Secret `env:"PAIRGATE_MASTER_KEY" desc:"Keys that seal tokens and other secrets at rest: 32 bytes in base64 each, separated by commas; the first seals, all open."`
	// WebhookAllow are networks that may be reached although they are private.
	WebhookAllow []netip.Prefix `env:"PAIRGATE_WEBHOOK_ALLOW" desc:"Networks that webhooks may live in although they are private, and in which http:// is accepted; for example 127.0.0.0/8,10.0.0.0/8."`
	// WorkerID names the dispatcher among those of the deployment.
	WorkerID string `env:"PAIRGATE_WORKER_ID" desc:"Name of this worker, unique in the deployment; made at each start when absent."`

	// RetrySchedule is the pauses between attempts.
	RetrySchedule retry.Schedule `env:"PAIRGATE_WEBHOOK_RETRY_SCHEDULE" envDefault:"5s,30s,2m,10m,30m,1h,2h,4h,8h,16h" want:"durations such as 5s,30s,2m" desc:"Pauses between the attempts to deliver a webhook, each spread by a fifth. There is one attempt more than pauses; then the delivery goes to the dead letters."`
	// Timeout of one attempt.
	Timeout time.Duration `env:"PAIRGATE_WEBHOOK_TIMEOUT" envDefault:"15s" check:"positive" desc:"How long one attempt to deliver a webhook may take, connecting and the whole answer included; 1s to 60s."`
	// MaxAge of a delivery.
	MaxAge time.Duration `env:"PAIRGATE_WEBHOOK_MAX_AGE" envDefault:"72h" check:"positive" desc:"How long a delivery may be owed; an older one goes to the dead letters untried."`
	// Concurrency is the most attempts in flight.
	Concurrency int `env:"PAIRGATE_WEBHOOK_CONCURRENCY" envDefault:"256" desc:"Most attempts in flight in this process; at most 8 of them to one webhook."`

	// Evolution is for webhooks of that format.
	Evolution EvolutionConfig
}

const (
	minTimeout     = time.Second
	maxTimeout     = time.Minute
	minConcurrency = 4
	maxConcurrency = 10_000
)

// Check refuses time-outs and limits that cannot work.
func (c *Config) Check(bad func(variable, expected string)) {
	if c.Timeout < minTimeout || c.Timeout > maxTimeout {
		bad("PAIRGATE_WEBHOOK_TIMEOUT", "1s to 60s")
	}
	if c.Concurrency < minConcurrency || c.Concurrency > maxConcurrency {
		bad("PAIRGATE_WEBHOOK_CONCURRENCY", "4 to 10000")
	}
}
