package bus

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Options say where NATS is and who we are there.
type Options struct {
	// URL is one or more NATS URLs, separated by commas. Ignored with InProcess.
	URL string
	// Name is the service's name, such as "session-worker". It is the name of the
	// connection and, after "_INBOX_", the prefix of its reply subjects, so that the
	// NATS user of a service needs no right to hear the replies of others.
	Name string
	// InProcess connects without a socket to a server in this process.
	InProcess nats.InProcessConnProvider

	// Creds is a file with a user's JWT and seed; NKeyFile one with a user's seed.
	// At most one of Creds, NKeyFile and User is given.
	Creds    string
	NKeyFile string
	User     string
	Password string

	// TLS is used for tls:// URLs, and for servers that ask for TLS.
	TLS *tls.Config
	// CAFile, CertFile and KeyFile are PEM files: the authority that signed the
	// server's certificate, and our own certificate and key where the server asks for one.
	CAFile   string
	CertFile string
	KeyFile  string

	// Log gets connection losses and permission violations; nil for none.
	Log *zap.Logger
	// Metrics gets the counters of the connection; nil for none.
	Metrics prometheus.Registerer

	// PingInterval is how often the server's life is checked, 2 s when 0. Two
	// missing answers end the connection, so a frozen server is left within three
	// intervals. The library's default of two minutes held clients for minutes.
	PingInterval time.Duration
}

func (o Options) validate() error {
	if o.Name == "" {
		return errors.New("bus: Options.Name is empty; give the service's name, such as \"gateway\"")
	}
	if o.InProcess == nil && o.URL == "" {
		return errors.New("bus: Options.URL is empty; give a NATS URL, such as nats://127.0.0.1:4222")
	}
	given := 0
	for _, s := range []string{o.Creds, o.NKeyFile, o.User} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		return errors.New("bus: give one of a credentials file, an nkey file and a user, not several")
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return errors.New("bus: a client certificate needs both CertFile and KeyFile")
	}
	// The library would look at them only once a server answers.
	for _, file := range []string{o.Creds, o.NKeyFile, o.CAFile, o.CertFile, o.KeyFile} {
		if file == "" {
			continue
		}
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("bus: connecting to NATS: %w", err)
		}
		_ = f.Close()
	}
	return nil
}

// natsOptions are our defaults. Connect does the first attempts itself, so that
// refused credentials are told at once.
func (o Options) natsOptions() ([]nats.Option, error) {
	interval := o.PingInterval
	if interval == 0 {
		interval = 2 * time.Second
	}
	opts := []nats.Option{
		nats.Name(o.Name),
		nats.CustomInboxPrefix(InboxPrefix(o.Name)),
		nats.PingInterval(interval),
		nats.MaxPingsOutstanding(2),
		nats.MaxReconnects(-1), // a service outlives any outage of its server
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		nats.IgnoreAuthErrorAbort(), // credentials may be rotated under us
		nats.Timeout(3 * time.Second),
		nats.DrainTimeout(8 * time.Second),
	}
	if o.InProcess != nil {
		opts = append(opts, nats.InProcessServer(o.InProcess))
	}
	switch {
	case o.Creds != "":
		opts = append(opts, nats.UserCredentials(o.Creds))
	case o.NKeyFile != "":
		key, err := nats.NkeyOptionFromSeed(o.NKeyFile)
		if err != nil {
			return nil, errors.New("bus: the nkey file cannot be read or holds no user seed")
		}
		opts = append(opts, key)
	case o.User != "":
		opts = append(opts, nats.UserInfo(o.User, o.Password))
	}
	if o.TLS != nil {
		opts = append(opts, nats.Secure(o.TLS))
	}
	if o.CAFile != "" {
		opts = append(opts, nats.RootCAs(o.CAFile))
	}
	if o.CertFile != "" {
		opts = append(opts, nats.ClientCert(o.CertFile, o.KeyFile))
	}
	return opts, nil
}

// InboxPrefix returns the prefix of reply subjects of the service: what its NATS
// user must be allowed to subscribe to, with ".>" behind it.
func InboxPrefix(service string) string {
	clean := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, service)
	return "_INBOX_" + clean
}
