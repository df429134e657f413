package dispatcher

import (
	"net/url"
	"slices"
	"time"

	"pairgate.dev/pkg/dialect"
	"pairgate.dev/services/webhook-dispatcher/internal/global"
	"pairgate.dev/services/webhook-dispatcher/internal/policy"
	"pairgate.dev/services/webhook-dispatcher/internal/retry"
)

// EvolutionConfig is how webhooks of the format evolution are delivered. The names that
// Evolution API has for these variables are read too.
type EvolutionConfig struct {
	ServerURL string `env:"PAIRGATE_SERVER_URL" alias:"SERVER_URL" desc:"Address of the gateway as its users know it; shown in Evolution API's webhooks."`
	// ExposeTokens shows an instance's token to every receiver of its webhooks.
	ExposeTokens bool `env:"PAIRGATE_EVOLUTION_EXPOSE_TOKENS" alias:"AUTHENTICATION_EXPOSE_IN_FETCH_INSTANCES" envDefault:"false" desc:"Whether Evolution API's webhooks show the instance's token to their receivers."`

	TimeoutMS    uint    `env:"PAIRGATE_EVOLUTION_WEBHOOK_TIMEOUT_MS" alias:"WEBHOOK_REQUEST_TIMEOUT_MS" envDefault:"30000" desc:"Milliseconds that one attempt to deliver a webhook of the format evolution may take; 0 for 30000, at most 300000."`
	Attempts     uint    `env:"PAIRGATE_EVOLUTION_WEBHOOK_MAX_ATTEMPTS" alias:"WEBHOOK_RETRY_MAX_ATTEMPTS" envDefault:"10" desc:"Attempts to deliver a webhook of the format evolution, the first included; 0 for 10."`
	InitialDelay uint    `env:"PAIRGATE_EVOLUTION_WEBHOOK_INITIAL_DELAY_SECONDS" alias:"WEBHOOK_RETRY_INITIAL_DELAY_SECONDS" envDefault:"5" desc:"Seconds between the first two attempts; 0 for 5."`
	Exponential  bool    `env:"PAIRGATE_EVOLUTION_WEBHOOK_EXPONENTIAL_BACKOFF" alias:"WEBHOOK_RETRY_USE_EXPONENTIAL_BACKOFF" envDefault:"true" desc:"Whether the pauses double; otherwise all are as the first."`
	MaxDelay     uint    `env:"PAIRGATE_EVOLUTION_WEBHOOK_MAX_DELAY_SECONDS" alias:"WEBHOOK_RETRY_MAX_DELAY_SECONDS" envDefault:"300" desc:"Longest pause between two attempts in seconds; 0 for 300."`
	Jitter       float64 `env:"PAIRGATE_EVOLUTION_WEBHOOK_JITTER_FACTOR" alias:"WEBHOOK_RETRY_JITTER_FACTOR" envDefault:"0.2" desc:"Part of a pause, 0 to 1, by which it is spread either way; 0 for 0.2."`
	NonRetryable []int   `env:"PAIRGATE_EVOLUTION_WEBHOOK_NON_RETRYABLE_STATUS_CODES" alias:"WEBHOOK_RETRY_NON_RETRYABLE_STATUS_CODES" envDefault:"400,401,403,404,422" desc:"Answers after which a webhook of the format evolution is given up at once."`

	GlobalEnabled  bool   `env:"PAIRGATE_EVOLUTION_WEBHOOK_GLOBAL_ENABLED" alias:"WEBHOOK_GLOBAL_ENABLED" envDefault:"false" desc:"Whether there is a webhook of the format evolution for all instances, beside their own. Every dispatcher needs the same setting."`
	GlobalURL      string `env:"PAIRGATE_EVOLUTION_WEBHOOK_GLOBAL_URL" alias:"WEBHOOK_GLOBAL_URL" desc:"Address of the webhook for all instances."`
	GlobalByEvents bool   `env:"PAIRGATE_EVOLUTION_WEBHOOK_GLOBAL_BY_EVENTS" alias:"WEBHOOK_GLOBAL_WEBHOOK_BY_EVENTS" envDefault:"false" desc:"Whether the name of the event is added to the address of the webhook for all instances."`

	QRCodeUpdated    bool `env:"PAIRGATE_EVOLUTION_WEBHOOK_EVENTS_QRCODE_UPDATED" alias:"WEBHOOK_EVENTS_QRCODE_UPDATED" envDefault:"false" desc:"Whether the webhook for all instances gets qrcode.updated."`
	ConnectionUpdate bool `env:"PAIRGATE_EVOLUTION_WEBHOOK_EVENTS_CONNECTION_UPDATE" alias:"WEBHOOK_EVENTS_CONNECTION_UPDATE" envDefault:"false" desc:"Whether the webhook for all instances gets connection.update."`
	InstanceCreate   bool `env:"PAIRGATE_EVOLUTION_WEBHOOK_EVENTS_INSTANCE_CREATE" alias:"WEBHOOK_EVENTS_INSTANCE_CREATE" envDefault:"false" desc:"Whether the webhook for all instances gets instance.create."`
	InstanceDelete   bool `env:"PAIRGATE_EVOLUTION_WEBHOOK_EVENTS_INSTANCE_DELETE" alias:"WEBHOOK_EVENTS_INSTANCE_DELETE" envDefault:"false" desc:"Whether the webhook for all instances gets instance.delete."`
	StatusInstance   bool `env:"PAIRGATE_EVOLUTION_WEBHOOK_EVENTS_STATUS_INSTANCE" alias:"WEBHOOK_EVENTS_STATUS_INSTANCE" envDefault:"false" desc:"Whether the webhook for all instances gets status.instance."`
	LogoutInstance   bool `env:"PAIRGATE_EVOLUTION_WEBHOOK_EVENTS_LOGOUT_INSTANCE" alias:"WEBHOOK_EVENTS_LOGOUT_INSTANCE" envDefault:"false" desc:"Whether the webhook for all instances gets logout.instance."`
	RemoveInstance   bool `env:"PAIRGATE_EVOLUTION_WEBHOOK_EVENTS_REMOVE_INSTANCE" alias:"WEBHOOK_EVENTS_REMOVE_INSTANCE" envDefault:"false" desc:"Whether the webhook for all instances gets remove.instance."`
}

const maxEvolutionTimeout = 300_000 // ms

// Check refuses what cannot work.
func (c *EvolutionConfig) Check(bad func(variable, expected string)) {
	if c.TimeoutMS > maxEvolutionTimeout {
		bad("PAIRGATE_EVOLUTION_WEBHOOK_TIMEOUT_MS", "at most 300000")
	}
	if c.Jitter < 0 || c.Jitter > 1 {
		bad("PAIRGATE_EVOLUTION_WEBHOOK_JITTER_FACTOR", "a number from 0 to 1")
	}
	if slices.ContainsFunc(c.NonRetryable, func(code int) bool { return code < 100 || code > 599 }) {
		bad("PAIRGATE_EVOLUTION_WEBHOOK_NON_RETRYABLE_STATUS_CODES", "numbers from 100 to 599")
	}
	if !c.GlobalEnabled {
		return
	}
	if u, err := url.Parse(c.GlobalURL); err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		bad("PAIRGATE_EVOLUTION_WEBHOOK_GLOBAL_URL", "a URL such as https://example.com/hook, where PAIRGATE_EVOLUTION_WEBHOOK_GLOBAL_ENABLED is true")
	}
}

// policy of deliveries: what is 0 is as it is by default, as in Evolution API.
func (c EvolutionConfig) policy(maxAge time.Duration) policy.Policy {
	p := policy.Evolution()
	p.MaxAge = maxAge
	if c.TimeoutMS > 0 {
		p.Timeout = time.Duration(c.TimeoutMS) * time.Millisecond
	}
	if c.NonRetryable != nil {
		p.Final = c.NonRetryable
	}
	p.Schedule = retry.Backoff{Attempts: int(orElse(c.Attempts, 10)), Initial: seconds(orElse(c.InitialDelay, 5)),
		Double: c.Exponential, Max: seconds(orElse(c.MaxDelay, 300)), Jitter: orElse(c.Jitter, 0.2)}
	return p
}

func seconds(n uint) time.Duration { return time.Duration(n) * time.Second }

func orElse[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// global is the webhook that the configuration makes, nil for none; one that asks for
// no event is none.
func (c EvolutionConfig) global() *global.Spec {
	spec := &global.Spec{URL: c.GlobalURL, Options: map[string]string{}}
	for _, e := range []struct {
		on   bool
		name string
	}{
		{c.QRCodeUpdated, dialect.EvolutionQRUpdated}, {c.ConnectionUpdate, dialect.EvolutionConnectionUpdate},
		{c.InstanceCreate, dialect.EvolutionInstanceCreate}, {c.InstanceDelete, dialect.EvolutionInstanceDelete},
		{c.StatusInstance, dialect.EvolutionStatusInstance}, {c.LogoutInstance, dialect.EvolutionLogoutInstance},
		{c.RemoveInstance, dialect.EvolutionRemoveInstance},
	} {
		if e.on {
			spec.Events = append(spec.Events, dialect.EvolutionName(e.name))
		}
	}
	if !c.GlobalEnabled || len(spec.Events) == 0 {
		return nil
	}
	if c.GlobalByEvents {
		spec.Options["byEvents"] = "true"
	}
	return spec
}
