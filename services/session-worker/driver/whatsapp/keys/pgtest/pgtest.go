// Package pgtest runs a PostgreSQL server for tests: a cluster of its own in a
// temporary directory, reachable on loopback only, without the flushes to the
// disk that make a server slow. scripts/install-postgresql installs the programs.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// startTimeout bounds making a cluster and starting its server.
const startTimeout = 30 * time.Second

// superuser is the user that makes databases; its password is the cluster's own.
const (
	superuser = "postgres"
	password  = "of the cluster"
)

// Cluster is a running server.
type Cluster struct {
	dir     string
	port    int
	exited  chan error
	process *os.Process
	made    atomic.Int64
}

// Configuration is what a server is given beside the cluster's own settings: files
// to be put into the directory dir, with mode 0600 and the server's own, and
// settings NAME=VALUE. pg_hba.conf must let the user postgres in over TCP with a password.
type Configuration func(dir string) (files map[string]string, settings []string)

// Start starts a server that ends with the test.
func Start(tb testing.TB, more ...Configuration) *Cluster {
	tb.Helper()
	c, err := New(more...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// New starts a server, for a TestMain. Stop it in the end.
func New(more ...Configuration) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	programs, err := programs()
	if err != nil {
		return nil, err
	}
	as, err := credential()
	if err != nil {
		return nil, err
	}
	dir, err := directory(as)
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, exited: make(chan error, 1)}
	if err := c.initialize(ctx, filepath.Join(programs, "initdb"), as); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	var settings []string
	for _, configure := range more {
		files, set := configure(dir)
		settings = append(settings, set...)
		if err := place(dir, files, as); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	if err := c.serve(ctx, filepath.Join(programs, "postgres"), settings, as); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// programs returns where initdb and postgres are: Debian keeps them out of PATH.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	slices.Sort(found)
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	initdb, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("pgtest: initdb is missing; run scripts/install-postgresql")
	}
	return filepath.Dir(initdb), nil
}

// credential is whom the server runs as: PostgreSQL refuses root, so that root
// lends it the user of the package. nil is for ourselves.
func credential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(superuser)
	if err != nil {
		return nil, fmt.Errorf("pgtest: run scripts/install-postgresql: %w", err)
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(errUID, errGID)
}

// directory makes the directory of the cluster. It is not a test's, which the
// server's user could not enter.
func directory(as *syscall.Credential) (string, error) {
	parent := os.TempDir()
	if as != nil {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "pgtest-")
	if err == nil && as != nil {
		err = os.Chown(dir, int(as.Uid), int(as.Gid))
	}
	return dir, err
}

func (c *Cluster) initialize(ctx context.Context, initdb string, as *syscall.Credential) error {
	secret := filepath.Join(c.dir, "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o644); err != nil {
		return err
	}
	command := exec.CommandContext(ctx, initdb, "--pgdata", c.data(), "--username", superuser, "--pwfile", secret,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	command.Dir, command.SysProcAttr = c.dir, &syscall.SysProcAttr{Credential: as}
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("pgtest: initdb: %w\n%s", err, out)
	}
	return nil
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// place writes files that belong to the server.
func place(dir string, files map[string]string, as *syscall.Credential) error {
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
		if as == nil {
			continue
		}
		if err := os.Chown(path, int(as.Uid), int(as.Gid)); err != nil {
			return err
		}
	}
	return nil
}

// serve starts the server and waits until it answers.
func (c *Cluster) serve(ctx context.Context, postgres string, settings []string, as *syscall.Credential) (err error) {
	if c.port, err = freePort(); err != nil {
		return err
	}
	args := []string{"-D", c.data(), "-F", "-p", strconv.Itoa(c.port)}
	for _, setting := range slices.Concat([]string{"listen_addresses=127.0.0.1", "unix_socket_directories=", "full_page_writes=off",
		"shared_buffers=16MB"}, settings) {
		args = append(args, "-c", setting)
	}
	command := exec.Command(postgres, args...)
	var log bytes.Buffer
	command.Dir, command.Stdout, command.Stderr = c.dir, &log, &log
	command.SysProcAttr = dyingWithUs(as)
	started := make(chan error)
	go func() {
		// The server is told to end when the thread that started it does.
		runtime.LockOSThread()
		err := command.Start()
		c.process = command.Process
		started <- err
		if err == nil {
			c.exited <- command.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := pgx.Connect(ctx, c.url(superuser, password, "postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ticker.C:
		case err := <-c.exited:
			c.exited <- err
			return fmt.Errorf("pgtest: the server ended: %w\n%s", err, log.String())
		case <-ctx.Done():
			return fmt.Errorf("pgtest: the server does not answer: %w", err)
		}
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// Addr is host:port of the server.
func (c *Cluster) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)) }

func (c *Cluster) url(user, secret, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, secret), Host: c.Addr(), Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Database makes an empty database, owned by a user of its own without other
// rights, and returns its URL.
func (c *Cluster) Database(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("test%d", c.made.Add(1))
	c.Exec(tb, "CREATE ROLE "+name+" LOGIN PASSWORD '"+name+"'", "CREATE DATABASE "+name+" OWNER "+name)
	return c.url(name, name, name)
}

// Exec does statements as the superuser.
func (c *Cluster) Exec(tb testing.TB, statements ...string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.url(superuser, password, "postgres"))
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			tb.Fatalf("%s: %v", s, err)
		}
	}
}

// stopTimeout is how long the server may take to end by itself.
const stopTimeout = 10 * time.Second

// Stop ends the server and removes the cluster.
func (c *Cluster) Stop() error {
	if c.process != nil {
		_ = c.process.Signal(syscall.SIGQUIT) // At once: nothing of it is kept.
		select {
		case <-c.exited:
		case <-time.After(stopTimeout):
			_ = c.process.Kill()
			<-c.exited
		}
	}
	return os.RemoveAll(c.dir)
}
