package registry

import (
	"net/netip"
	"slices"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
)

// Config is what an operator sets. Zero durations stand for the defaults.
type Config struct {
	MasterKey    seal.Secret    `env:"PAIRGATE_MASTER_KEY" desc:"Keys that seal tokens and other secrets at rest: 32 bytes in base64 each, separated by commas; the first seals, all open."`
	WebhookAllow []netip.Prefix `env:"PAIRGATE_WEBHOOK_ALLOW" desc:"Networks that webhooks may live in although they are private, and in which http:// is accepted; for example 127.0.0.0/8,10.0.0.0/8."`

	Providers         []instance.Provider `env:"PAIRGATE_PROVIDERS" desc:"Messengers whose instances may be created: those that the workers of this installation can run. When absent, whatsapp, and simulated where PAIRGATE_SIMULATED_ENDPOINT is set."`
	SimulatedEndpoint string              `env:"PAIRGATE_SIMULATED_ENDPOINT" desc:"Address (host:port, loopback) of the simulated messenger, where there is one."`

	SweepInterval time.Duration `env:"PAIRGATE_REGISTRY_SWEEP_INTERVAL" envDefault:"30s" check:"positive" desc:"How often claims that a crash left behind are looked for."`
	ClaimAge      time.Duration `env:"PAIRGATE_REGISTRY_CLAIM_AGE" envDefault:"1m" check:"positive" desc:"Age from which a claim without a record counts as left behind. Longer than any request takes."`
	Retention     time.Duration `env:"PAIRGATE_REGISTRY_RETENTION" envDefault:"24h" check:"positive" desc:"How long the events and webhooks of a deleted instance are kept, so that the news reaches everybody."`
}

// maxRetention stays below the age at which the stream of events drops the last
// event of a deleted instance.
const maxRetention = 6 * 24 * time.Hour

// Check refuses providers that this version does not know, and a retention that events do not live for.
func (c *Config) Check(bad func(variable, expected string)) {
	if slices.ContainsFunc(c.Providers, func(p instance.Provider) bool { return !p.Valid() }) {
		bad("PAIRGATE_PROVIDERS", "a list of whatsapp, max and simulated, separated by commas")
	}
	if c.Retention > maxRetention {
		bad("PAIRGATE_REGISTRY_RETENTION", "at most "+maxRetention.String())
	}
}

// offered returns the providers whose instances may be created.
func (c Config) offered() []instance.Provider {
	return service.Providers(c.Providers, c.SimulatedEndpoint)
}

func (c Config) withDefaults() Config {
	c.SweepInterval = orDefault(c.SweepInterval, 30*time.Second)
	c.ClaimAge = orDefault(c.ClaimAge, time.Minute)
	c.Retention = orDefault(c.Retention, 24*time.Hour)
	return c
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
