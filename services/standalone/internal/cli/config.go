package cli

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
)

// Own is what the commands alone read from the environment.
type Own struct {
	URL string `env:"PAIRGATE_URL" envDefault:"http://127.0.0.1:8080" check:"url" desc:"Gateway that the commands for people speak to. Only they read it."`
}

// Config is the environment of the commands.
type Config struct {
	Own
	// AdminKey may be an instance's token too, for that instance.
	AdminKey seal.Secret `env:"PAIRGATE_ADMIN_KEY" desc:"Key that the commands send to the gateway."`
	// Common says where NATS and the data directory are.
	Common service.Common
}

// gateway returns the base URL without a slash at its end, and the key. The key
// of the data directory is this machine's, and goes to no other.
func (c Config) gateway(flagURL, keyFile string) (base string, key seal.Secret, err error) {
	if flagURL == "" {
		flagURL = c.URL
	}
	u, err := url.Parse(flagURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", key, usagef("the gateway's address must be an http or https URL such as http://127.0.0.1:8080")
	}
	base = strings.TrimRight(u.String(), "/")
	switch {
	case keyFile != "":
		key, err = readSecret(keyFile)
	case c.AdminKey != "":
		key = c.AdminKey
	case isLoopback(u.Hostname()):
		key, err = readSecret(filepath.Join(c.Common.DataDir, "admin-key"))
		if errors.Is(err, os.ErrNotExist) {
			err = usagef("no key: set PAIRGATE_ADMIN_KEY, name a file with --key-file, or set PAIRGATE_DATA_DIR to the data directory of a gateway on this machine")
		}
	default:
		err = usagef("no key for %s: set PAIRGATE_ADMIN_KEY, or name a file with --key-file", u.Host)
	}
	return base, key, err
}

// nats returns how to reach NATS. User and password of the data directory are
// used where the environment says nothing and the server is on this machine.
func (c Config) nats() (bus.Options, error) {
	o := c.Common.BusOptions("pairgate-cli")
	server, err := url.Parse(o.URL)
	if o.User != "" || o.Creds != "" || o.NKeyFile != "" || err != nil || !isLoopback(server.Hostname()) {
		return o, nil
	}
	user, err := readSecret(filepath.Join(c.Common.DataDir, "nats-user"))
	if errors.Is(err, os.ErrNotExist) {
		return o, nil // a server without users
	}
	if err != nil {
		return o, err
	}
	password, err := readSecret(filepath.Join(c.Common.DataDir, "nats-password"))
	o.User, o.Password = user.Reveal(), password.Reveal()
	return o, err
}

func readSecret(path string) (seal.Secret, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return seal.Secret(text), nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback() && net.ParseIP(host) != nil
}
