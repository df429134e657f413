package standalone_test

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/driver/whatsapp/keys"
	"pairgate.dev/services/session-worker/driver/whatsapp/keys/pgtest"
)

// TestTheDatabaseOfTheDeploymentIsTheWorkersAlone runs PostgreSQL with the files of
// deploy/postgres, directories and addresses apart, and what deployment-secrets made.
func TestTheDatabaseOfTheDeploymentIsTheWorkersAlone(t *testing.T) {
	d := &deployed{t: t, programs: t.TempDir(), secrets: filepath.Join(t.TempDir(), "secrets")}
	run(t, d.program("deployment-secrets", "-database-hosts", "127.0.0.1", d.secrets))
	read := func(path string) string {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	server := pgtest.Start(t, func(dir string) (map[string]string, []string) {
		here := strings.NewReplacer("/etc/pairgate/", dir+"/", "/var/run/postgresql/", dir+"/")
		files := map[string]string{
			"postgresql.conf": here.Replace(read("../../deploy/postgres/postgresql.conf")),
			// In a container the superuser comes through the socket.
			"pg_hba.conf": "host all postgres 127.0.0.1/32 scram-sha-256\n" + read("../../deploy/postgres/pg_hba.conf"),
		}
		for _, name := range []string{"ca.pem", "cert.pem", "key.pem"} {
			files[name] = read(filepath.Join(d.secrets, "postgres", name))
		}
		return files, []string{"config_file=" + filepath.Join(dir, "postgresql.conf")}
	})
	for statement := range strings.SplitSeq(read("../../deploy/postgres/init.sql"), ";\n") {
		server.Exec(t, statement)
	}
	dsn := func(user, database, certificateOf string) string {
		q := url.Values{"sslmode": {"verify-full"}}
		for name, file := range map[string]string{"sslrootcert": "ca.pem", "sslcert": "cert.pem", "sslkey": "key.pem"} {
			q.Set(name, filepath.Join(d.secrets, certificateOf, file))
		}
		u := url.URL{Scheme: "postgres", User: url.User(user), Host: server.Addr(), Path: "/" + database, RawQuery: q.Encode()}
		return u.String()
	}
	const worker, database = "session-worker", "pairgate"

	s, err := keys.Open(t.Context(), keys.Options{DSN: dsn(worker, database, worker)})
	if err != nil {
		t.Fatal(err)
	}
	release, _, err := s.Hold(t.Context(), instance.ID("0198a5b2-0000-7000-8000-000000000001"))
	if err != nil {
		t.Error(err)
	} else {
		release()
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}

	for what, refused := range map[string]string{
		"with another service's certificate": dsn(worker, database, "gateway"),
		"as itself, another service":         dsn("gateway", database, "gateway"),
		"to another database":                dsn(worker, "postgres", worker),
		"as the superuser":                   dsn("postgres", database, worker),
	} {
		if s, err := keys.Open(t.Context(), keys.Options{DSN: refused}); err == nil {
			t.Errorf("let in: %s", what)
			_ = s.Close()
		} else if !errors.Is(err, keys.ErrRefused) {
			t.Errorf("%s: %v", what, err)
		}
	}
	plain := fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", worker, server.Addr(), database)
	if s, err := keys.Open(t.Context(), keys.Options{DSN: plain}); err == nil || !errors.Is(err, keys.ErrRefused) {
		t.Errorf("without TLS: %v", err)
		if err == nil {
			_ = s.Close()
		}
	}
	// A server that cannot prove its name is none of ours.
	_, port, err := net.SplitHostPort(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	misled := strings.Replace(dsn(worker, database, worker), server.Addr(), net.JoinHostPort("localhost", port), 1)
	if s, err := keys.Open(t.Context(), keys.Options{DSN: misled}); err == nil {
		t.Error("the name of the server was not checked")
		_ = s.Close()
	}
}
