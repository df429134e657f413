// Package secrets makes what a deployment of several processes needs to know each
// other: a certificate authority with certificates for the NATS servers and for each
// user of NATS, an nkey for each user, and the master and admin keys.
package secrets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"pairgate.dev/pkg/seal"
)

// Users are the users of NATS that accounts.conf knows.
var Users = []string{"system", "provision", "instance-registry", "session-worker", "qr-renderer", "webhook-dispatcher", "gateway", "client"}

// sealing are the services that read sealed secrets.
var sealing = []string{"instance-registry", "session-worker", "webhook-dispatcher"}

// Names of files. The directory of a user has CA, Cert, Key and Seed; that of the NATS
// servers CA, Cert, Key and UsersConf; that of PostgreSQL CA, Cert, Key and Password;
// those of services with keys of their own Env.
const (
	CA        = "ca.pem"
	CAKey     = "ca-key.pem"
	Cert      = "cert.pem"
	Key       = "key.pem"
	Seed      = "nats.seed"
	UsersConf = "users.conf"
	Env       = "service.env"
	Servers   = "nats"
	Database  = "postgres"
	Password  = "superuser-password"
)

// Lifetime of all certificates.
const Lifetime = 5 * 365 * 24 * time.Hour

// Generate makes everything in dir, which it creates and which must be empty. hosts
// are the names and addresses by which NATS servers are reached, databaseHosts those
// by which PostgreSQL is.
//
// Only the directory itself is closed to other users of the machine (mode 0700), with
// the authority's key. What is in it can be read by whoever it is handed to: a
// container runs as another user than the one who made this.
func Generate(dir string, hosts, databaseHosts []string) error {
	if len(hosts) == 0 || len(databaseHosts) == 0 {
		return errors.New("no host of a NATS server, or of PostgreSQL, is given")
	}
	if err := empty(dir); err != nil {
		return err
	}
	authority, err := newAuthority(Lifetime)
	if err != nil {
		return err
	}
	files := map[string]string{CAKey: authority.keyPEM}
	var users strings.Builder
	users.WriteString("# Public keys of the users of NATS. Made by deployment-secrets.\n")
	for _, user := range Users {
		seed, public, err := newUser()
		if err != nil {
			return err
		}
		fmt.Fprintf(&users, "NKEY_%s: %q\n", strings.ToUpper(strings.ReplaceAll(user, "-", "_")), public)
		cert, key, err := authority.issue(user, nil)
		if err != nil {
			return err
		}
		files[filepath.Join(user, Seed)] = seed + "\n"
		files[filepath.Join(user, CA)], files[filepath.Join(user, Cert)], files[filepath.Join(user, Key)] = authority.certPEM, cert, key
	}
	for server, hosts := range map[string][]string{Servers: hosts, Database: databaseHosts} {
		cert, key, err := authority.issue(server, hosts)
		if err != nil {
			return err
		}
		files[filepath.Join(server, CA)], files[filepath.Join(server, Cert)], files[filepath.Join(server, Key)] = authority.certPEM, cert, key
	}
	files[filepath.Join(Servers, UsersConf)] = users.String()
	files[filepath.Join(Database, Password)] = seal.NewToken() + "\n"
	master := seal.NewMasterKey().Reveal()
	for _, service := range sealing {
		files[filepath.Join(service, Env)] = "PAIRGATE_MASTER_KEY=" + master + "\n"
	}
	files[filepath.Join("gateway", Env)] = "PAIRGATE_ADMIN_KEY=" + seal.NewToken() + "\n"
	return write(dir, files)
}

func newUser() (seed, public string, err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", "", fmt.Errorf("nkey: %w", err)
	}
	defer pair.Wipe()
	secret, err := pair.Seed()
	if err != nil {
		return "", "", fmt.Errorf("nkey: %w", err)
	}
	public, err = pair.PublicKey()
	return string(secret), public, err
}

// empty makes the directory, and refuses one that holds something: keys that are in
// use are not to be lost.
func empty(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty; secrets that are in use are not written over", dir)
	}
	return os.Chmod(dir, 0o700)
}

func write(dir string, files map[string]string) error {
	for name, content := range files {
		path, mode := filepath.Join(dir, name), fs.FileMode(0o644)
		if name == CAKey {
			mode = 0o600
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			return err
		}
	}
	return nil
}
