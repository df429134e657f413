package embedded

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
)

// Options of the embedded server.
type Options struct {
	// StoreDir is the directory of streams and buckets; required.
	StoreDir string
	// Name is the server's name; "pairgate" when empty.
	Name string

	// Listen opens a TCP socket on Host and Port for other processes; without it
	// only this process can connect.
	Listen bool
	// Host is 127.0.0.1 when empty.
	Host string
	// Port 0 takes a free one; Addr tells which.
	Port int
	// User and Password are required with Listen. They also hold for connections
	// of this process.
	User     string
	Password string

	// SyncAlways flushes each write to the disk before it is acknowledged.
	SyncAlways bool
	// SyncInterval is how often writes are flushed otherwise; 1 s when 0. (The
	// server's own default of two minutes loses acknowledged writes at a power cut.)
	SyncInterval time.Duration
	// MaxStore limits what all streams may take together, in bytes; 0 lets the
	// server take three quarters of what is free when it starts.
	MaxStore int64
	// MaxMemory limits memory streams, in bytes; 64 MiB when 0. Pairgate has none.
	MaxMemory int64
	// ReadyTimeout bounds the start, 30 s when 0: a large store is read first.
	ReadyTimeout time.Duration

	// Log gets what the server says; nil for nothing.
	Log *zap.Logger
}

// Server is a running server.
type Server struct {
	srv  *server.Server
	opts Options
}

// Start starts a server and waits until it takes connections and its streams
// are there. Errors say what to do.
func Start(o Options) (*Server, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	if o.Listen && o.Port != 0 {
		if err := checkFree(o.Host, o.Port); err != nil {
			return nil, err
		}
	}
	srv, err := server.NewServer(o.serverOptions())
	if err != nil {
		return nil, fmt.Errorf("embedded NATS server: %w", err)
	}
	heard := &lastError{}
	srv.SetLoggerV2(newLogger(o.Log, heard), false, false, false)
	srv.Start()
	if !ready(srv, heard, o.ReadyTimeout) {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, fmt.Errorf("embedded NATS server did not become ready (store %s): %s", o.StoreDir, heard.explain(o.ReadyTimeout))
	}
	return &Server{srv: srv, opts: o}, nil
}

// ready waits until the server takes connections and has its streams, or has
// said that it never will.
func ready(srv *server.Server, heard *lastError, timeout time.Duration) bool {
	deadline := time.Now().Add(timeout)
	for !srv.ReadyForConnections(100 * time.Millisecond) {
		if heard.isFatal() || time.Now().After(deadline) {
			return false
		}
	}
	return srv.JetStreamEnabled()
}

func (o *Options) defaults() error {
	if o.StoreDir == "" {
		return errors.New("embedded NATS server: StoreDir is empty; give a directory that survives restarts")
	}
	if o.Listen && (o.User == "" || o.Password == "") {
		return errors.New("embedded NATS server: listening needs a user and a password")
	}
	if o.Name == "" {
		o.Name = "pairgate"
	}
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.SyncInterval == 0 {
		o.SyncInterval = time.Second
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = 64 << 20
	}
	if o.ReadyTimeout == 0 {
		o.ReadyTimeout = 30 * time.Second
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return nil
}

func (o Options) serverOptions() *server.Options {
	port := o.Port
	if port == 0 {
		port = server.RANDOM_PORT
	}
	so := &server.Options{
		ServerName:         o.Name,
		Host:               o.Host,
		Port:               port,
		DontListen:         !o.Listen,
		NoSigs:             true, // else the server handles signals and exits the process
		NoLog:              false,
		JetStream:          true,
		StoreDir:           o.StoreDir,
		SyncAlways:         o.SyncAlways,
		SyncInterval:       o.SyncInterval,
		JetStreamMaxStore:  o.MaxStore,
		JetStreamMaxMemory: o.MaxMemory,
		// Streams say their own limit; this one is for what a user adds.
		JetStreamLimits: server.JSLimitOpts{DefaultMaxConsumers: 1024},
	}
	if o.User != "" {
		so.Username, so.Password = o.User, o.Password
	}
	return so
}

// InProcessConn implements nats.InProcessConnProvider.
func (s *Server) InProcessConn() (net.Conn, error) { return s.srv.InProcessConn() }

// ConnOptions returns options to connect from this process under the given name.
func (s *Server) ConnOptions(name string, log *zap.Logger) bus.Options {
	return bus.Options{Name: name, InProcess: s, User: s.opts.User, Password: s.opts.Password, Log: log}
}

// Addr returns host and port of the socket, or "" when there is none.
func (s *Server) Addr() string {
	if !s.opts.Listen {
		return ""
	}
	return s.srv.Addr().String()
}

// URL returns what other processes connect to, without credentials; "" when there is no socket.
func (s *Server) URL() string {
	if !s.opts.Listen {
		return ""
	}
	return "nats://" + s.Addr()
}

// StoreDir returns the directory of streams and buckets.
func (s *Server) StoreDir() string { return s.opts.StoreDir }

// Shutdown ends the server and waits until its files are closed. Drain the
// connections before. It may be called again.
func (s *Server) Shutdown() {
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
}

// checkFree tells a port in use before the server tries it, because the server
// would only log it and never become ready.
func checkFree(host string, port int) error {
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("embedded NATS server cannot listen on %s (%w): stop what uses it, choose another address, or turn the listener off", addr, err)
	}
	return l.Close()
}
