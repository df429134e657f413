package secrets_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"pairgate.dev/deploy/internal/secrets"
	"pairgate.dev/pkg/seal"
)

func TestGeneratedSecretsBelongTogether(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secrets")
	if err := secrets.Generate(dir, []string{"nats-1", "127.0.0.1"}, []string{"postgres"}); err != nil {
		t.Fatal(err)
	}
	read := func(parts ...string) string {
		content, err := os.ReadFile(filepath.Join(append([]string{dir}, parts...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(read(secrets.Servers, secrets.CA))) {
		t.Fatal("no authority")
	}
	verify := func(user string, o x509.VerifyOptions) error {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, user, secrets.Cert), filepath.Join(dir, user, secrets.Key))
		if err != nil {
			t.Fatal(err)
		}
		o.Roots = pool
		_, err = pair.Leaf.Verify(o)
		return err
	}
	for _, host := range []string{"nats-1", "127.0.0.1"} {
		if err := verify(secrets.Servers, x509.VerifyOptions{DNSName: host}); err != nil {
			t.Errorf("the servers' certificate: %v", err)
		}
	}
	if err := verify(secrets.Database, x509.VerifyOptions{DNSName: "postgres"}); err != nil {
		t.Errorf("the certificate of PostgreSQL: %v", err)
	}
	// Servers are clients of each other.
	for _, user := range append([]string{secrets.Servers}, secrets.Users...) {
		if err := verify(user, x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Errorf("the certificate of %s: %v", user, err)
		}
	}
	if verify("gateway", x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}) == nil {
		t.Error("a service's certificate is good for a server")
	}
	for _, user := range secrets.Users {
		pair, err := nkeys.FromSeed([]byte(strings.TrimSpace(read(user, secrets.Seed))))
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		public, err := pair.PublicKey()
		if err != nil || !strings.Contains(read(secrets.Servers, secrets.UsersConf), public) {
			t.Errorf("the servers do not know %s (%v)", user, err)
		}
	}
	key, ok := strings.CutPrefix(strings.TrimSpace(read("session-worker", secrets.Env)), "PAIRGATE_MASTER_KEY=")
	if !ok || read("session-worker", secrets.Env) != read("webhook-dispatcher", secrets.Env) {
		t.Error("the services do not share a master key")
	}
	if _, err := seal.ParseRing(seal.Secret(key)); err != nil {
		t.Error(err)
	}
	for file, mode := range map[string]os.FileMode{".": 0o700, secrets.CAKey: 0o600} {
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v (%v)", file, info.Mode().Perm(), err)
		}
	}
}

func TestSecretsInUseAreNotWrittenOver(t *testing.T) {
	dir := t.TempDir()
	if err := secrets.Generate(dir, []string{"localhost"}, []string{"postgres"}); err != nil {
		t.Fatal(err)
	}
	if err := secrets.Generate(dir, []string{"localhost"}, []string{"postgres"}); err == nil {
		t.Error("generated twice")
	}
	if err := secrets.Generate(t.TempDir(), nil, nil); err == nil {
		t.Error("generated without hosts")
	}
}
