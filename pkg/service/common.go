package service

import (
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"pairgate.dev/pkg/seal"
)

// Common is the configuration that every service shares.
type Common struct {
	NATSURL      string      `env:"PAIRGATE_NATS_URL" envDefault:"nats://127.0.0.1:4222" desc:"Where NATS is; several servers are separated by commas."`
	NATSCreds    string      `env:"PAIRGATE_NATS_CREDS" desc:"File with the NATS credentials (JWT and seed) of this service."`
	NATSNKey     string      `env:"PAIRGATE_NATS_NKEY" desc:"File with the seed of a NATS user's nkey, instead of credentials."`
	NATSUser     string      `env:"PAIRGATE_NATS_USER" desc:"NATS user, where neither credentials nor an nkey is used."`
	NATSPassword seal.Secret `env:"PAIRGATE_NATS_PASSWORD" desc:"Password of the NATS user."`
	NATSCA       string      `env:"PAIRGATE_NATS_CA" desc:"PEM file with the authority that signed the certificate of the NATS server."`
	NATSCert     string      `env:"PAIRGATE_NATS_CERT" desc:"PEM file with our certificate, where NATS asks for one; with PAIRGATE_NATS_KEY."`
	NATSKey      string      `env:"PAIRGATE_NATS_KEY" desc:"PEM file with the key of PAIRGATE_NATS_CERT."`

	DataDir string `env:"PAIRGATE_DATA_DIR" envDefault:"./data" desc:"Directory for what must outlive the process. Two processes never share one."`

	LogLevel  zapcore.Level `env:"PAIRGATE_LOG_LEVEL" envDefault:"info" oneof:"debug info warn error" desc:"Least severe log lines to write. Can be changed at run time by PUT /loglevel on the metrics address, from this machine."`
	LogFormat string        `env:"PAIRGATE_LOG_FORMAT" oneof:"json console" desc:"How log lines look; when absent, console on a terminal and json elsewhere."`

	MetricsAddr string `env:"PAIRGATE_METRICS_ADDR" check:"addr" desc:"Address for /metrics, /healthz, /readyz and /loglevel; when absent there is no such listener."`

	Replicas int           `env:"PAIRGATE_REPLICAS" envDefault:"1" oneof:"1 3 5" desc:"Replicas of every stream and bucket: 1 on one NATS server, 3 in a cluster of three."`
	LeaseTTL time.Duration `env:"PAIRGATE_LEASE_TTL" check:"positive" desc:"How long a silent worker keeps its instances. When absent 5s with one replica, 20s with more. The same for every process of a deployment."`
}

// The lease TTL that fits the replicas: with three, a write can take the length
// of an election, and a lease must outlive that.
const (
	leaseTTLOne  = 5 * time.Second
	leaseTTLMany = 20 * time.Second
	leaseTTLMin  = 2 * time.Second
)

// Check fills in the lease TTL that fits the replicas when none is given.
func (c *Common) Check(bad func(variable, expected string)) {
	if c.LeaseTTL == 0 {
		c.LeaseTTL = leaseTTLOne
		if c.Replicas > 1 {
			c.LeaseTTL = leaseTTLMany
		}
	}
	if c.LeaseTTL < leaseTTLMin {
		bad("PAIRGATE_LEASE_TTL", "at least "+leaseTTLMin.String())
	}
	for server := range strings.SplitSeq(c.NATSURL, ",") {
		scheme, host, ok := strings.Cut(strings.TrimSpace(server), "://")
		if !ok || host == "" || !strings.Contains(" nats tls ws wss ", " "+scheme+" ") {
			bad("PAIRGATE_NATS_URL", "one or more addresses such as nats://127.0.0.1:4222, separated by commas (nats, tls, ws or wss)")
			break
		}
	}
	given := 0
	for _, s := range []string{c.NATSCreds, c.NATSNKey, c.NATSUser} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		bad("PAIRGATE_NATS_CREDS", "the only one of PAIRGATE_NATS_CREDS, PAIRGATE_NATS_NKEY and PAIRGATE_NATS_USER that is set")
	}
	if (c.NATSCert == "") != (c.NATSKey == "") {
		bad("PAIRGATE_NATS_CERT", "set together with PAIRGATE_NATS_KEY")
	}
	if c.NATSPassword != "" && c.NATSUser == "" {
		bad("PAIRGATE_NATS_USER", "set when PAIRGATE_NATS_PASSWORD is")
	}
}
