package service

import (
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"pairgate.dev/pkg/bus"
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
	Streams  string        `env:"PAIRGATE_STREAMS" envDefault:"create" oneof:"create check" desc:"Whether the service creates missing streams and buckets and corrects their settings, or waits until they are there, which needs fewer rights at NATS."`
	LeaseTTL time.Duration `env:"PAIRGATE_LEASE_TTL" check:"positive" desc:"How long a silent worker keeps its instances. When absent 5s with one replica, 20s with more. The same for every process of a deployment."`

	StreamMaxBytes map[string]int64 `env:"PAIRGATE_STREAM_MAX_BYTES" envKeyValSeparator:"=" want:"a list such as EVENTS=1073741824,DELIVERIES=-1, of sizes in bytes by the names of our streams and buckets" desc:"Sizes of streams and buckets other than the defaults, in bytes, -1 for no limit: EVENTS=1073741824,DELIVERIES=-1."`
}

// leaseTTLMin is below what a worker can renew in time.
const leaseTTLMin = 2 * time.Second

// Check fills in the lease TTL that fits the replicas when none is given.
func (c *Common) Check(bad func(variable, expected string)) {
	if c.LeaseTTL == 0 {
		c.LeaseTTL = bus.LeaseTTLSingle
		if c.Replicas > 1 {
			c.LeaseTTL = bus.LeaseTTLReplicated
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
	for name, size := range c.StreamMaxBytes {
		if !slices.Contains(bus.Names(), name) || size == 0 || size < -1 {
			bad("PAIRGATE_STREAM_MAX_BYTES", "a list of sizes in bytes, or -1, by the names "+oneOf(bus.Names()))
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

// BusOptions are the options to connect the named service to NATS.
func (c *Common) BusOptions(name string) bus.Options {
	return bus.Options{
		URL: c.NATSURL, Name: name,
		Creds: c.NATSCreds, NKeyFile: c.NATSNKey, User: c.NATSUser, Password: c.NATSPassword.Reveal(),
		CAFile: c.NATSCA, CertFile: c.NATSCert, KeyFile: c.NATSKey,
	}
}

// EnsureOptions are the options to declare streams and buckets with.
func (c *Common) EnsureOptions() bus.EnsureOptions {
	return bus.EnsureOptions{Replicas: c.Replicas, LeaseTTL: c.LeaseTTL, MaxBytes: c.StreamMaxBytes, CheckOnly: c.Streams == "check"}
}
