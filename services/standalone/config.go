package standalone

import (
	"net"
	"time"

	"go.uber.org/zap/zapcore"

	"pairgate.dev/pkg/service"
	gateway "pairgate.dev/services/gateway"
	registry "pairgate.dev/services/instance-registry"
	renderer "pairgate.dev/services/qr-renderer"
	worker "pairgate.dev/services/session-worker"
	dispatcher "pairgate.dev/services/webhook-dispatcher"
)

// Config is the configuration of the one-process program: what is its own, and
// that of each service.
type Config struct {
	Own        Own
	Registry   registry.Config
	Worker     worker.Config
	Renderer   renderer.Config
	Dispatcher dispatcher.Config
	Gateway    gateway.Config
}

// Own is what the one-process program reads itself.
type Own struct {
	DataDir   string        `env:"PAIRGATE_DATA_DIR" envDefault:"./data" desc:"Directory for what must outlive the process. Two processes never share one."`
	LogLevel  zapcore.Level `env:"PAIRGATE_LOG_LEVEL" envDefault:"info" oneof:"debug info warn error" desc:"Least severe log lines to write."`
	LogFormat string        `env:"PAIRGATE_LOG_FORMAT" oneof:"json console" desc:"How log lines look; when absent, console on a terminal and json elsewhere."`

	NATSAddr string        `env:"PAIRGATE_NATS_ADDR" envDefault:"127.0.0.1:4222" want:"an address such as 127.0.0.1:4222, or off" desc:"Where the embedded NATS server listens for other services, with the user and password of the files nats-user and nats-password in the data directory; off for nowhere."`
	NATSSync string        `env:"PAIRGATE_NATS_SYNC" envDefault:"always" want:"always, or a time such as 1s" desc:"When the embedded NATS server flushes to the disk: always is before each write is acknowledged; a time is at the latest after it, and what was written since is lost when the machine loses power."`
	LeaseTTL time.Duration `env:"PAIRGATE_LEASE_TTL" check:"positive" desc:"How long a silent worker keeps its instances. When absent 5s."`

	MetricsAddr    string           `env:"PAIRGATE_METRICS_ADDR" check:"addr" desc:"Address for /metrics, /healthz, /readyz and /loglevel beside the HTTP address; when absent there is no such listener."`
	LabControlAddr string           `env:"PAIRGATE_LAB_CONTROL_ADDR" envDefault:"127.0.0.1:7700" check:"loopback" desc:"Where the lab's control API listens with --lab."`
	StreamMaxBytes map[string]int64 `env:"PAIRGATE_STREAM_MAX_BYTES" envKeyValSeparator:"=" want:"a list such as EVENTS=1073741824,DELIVERIES=-1, of sizes in bytes by the names of our streams and buckets" desc:"Sizes of streams and buckets other than the defaults, in bytes, -1 for no limit: EVENTS=1073741824,DELIVERIES=-1."`
}

// Check implements service.Checker.
func (o *Own) Check(bad func(variable, expected string)) {
	if _, _, err := net.SplitHostPort(o.NATSAddr); err != nil && o.NATSAddr != off {
		bad("PAIRGATE_NATS_ADDR", "an address such as 127.0.0.1:4222, or off")
	}
	if d, err := time.ParseDuration(o.NATSSync); o.NATSSync != syncAlways && (err != nil || d <= 0) {
		bad("PAIRGATE_NATS_SYNC", "always, or a time such as 1s")
	}
}

const (
	off        = "off"
	syncAlways = "always"
)

// Parse reads the configuration from environment variables given as NAME=value.
// The error names every variable that is unknown or wrong.
func Parse(environ []string) (Config, error) {
	var c Config
	err := service.Parse(environ, c.parts()...)
	return c, err
}

func (c *Config) parts() []any {
	return []any{&c.Own, &c.Registry, &c.Worker, &c.Renderer, &c.Dispatcher, &c.Gateway}
}

// Sections returns the configuration for a help text, part by part.
func Sections() []service.Section {
	return []service.Section{
		{Title: "Of the program:", Config: Own{}},
		{Title: "Of the gateway:", Config: gateway.Config{}},
		{Title: "Of the instance-registry:", Config: registry.Config{}},
		{Title: "Of the session-worker:", Config: worker.Config{}},
		{Title: "Of the qr-renderer:", Config: renderer.Config{}},
		{Title: "Of the webhook-dispatcher:", Config: dispatcher.Config{}},
	}
}
