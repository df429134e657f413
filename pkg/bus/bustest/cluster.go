package bustest

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"pairgate.dev/pkg/bus"
)

// Nodes is a cluster of servers in this process.
type Nodes struct {
	tb    testing.TB
	dir   string
	ports []int
	nodes []*server.Server
}

// Cluster starts n servers that form one JetStream cluster, and waits until it
// has a leader. Three take about a third of a second.
func Cluster(tb testing.TB, n int) *Nodes {
	tb.Helper()
	c := &Nodes{tb: tb, dir: tb.TempDir(), ports: freePorts(tb, 2*n), nodes: make([]*server.Server, n)}
	for i := range n {
		c.start(i)
	}
	tb.Cleanup(func() {
		for _, s := range c.nodes {
			s.Shutdown()
		}
		for _, s := range c.nodes {
			s.WaitForShutdown()
		}
	})
	c.WaitLeader()
	return c
}

// Node returns server i as it is now; after Restart it is another one.
func (c *Nodes) Node(i int) *server.Server { return c.nodes[i] }

// KillNode ends server i and waits until it is gone. Its data stay for Restart.
func (c *Nodes) KillNode(i int) {
	c.nodes[i].Shutdown()
	c.nodes[i].WaitForShutdown()
}

// Restart starts server i again on its data and ports.
func (c *Nodes) Restart(i int) {
	c.tb.Helper()
	c.start(i)
}

// WaitLeader waits until the cluster has a meta leader.
func (c *Nodes) WaitLeader() {
	c.tb.Helper()
	CheckFor(c.tb, 30*time.Second, func() error {
		for _, s := range c.nodes {
			if s.Running() && s.JetStreamIsLeader() {
				return nil
			}
		}
		return fmt.Errorf("no meta leader")
	})
}

// StreamLeader returns the number of the server that leads the stream, -1 when none does.
func (c *Nodes) StreamLeader(stream string) int {
	for i, s := range c.nodes {
		if s.Running() && s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
			return i
		}
	}
	return -1
}

// URL returns the URLs of all servers.
func (c *Nodes) URL() string {
	urls := make([]string, len(c.nodes))
	for i := range c.nodes {
		urls[i] = fmt.Sprintf("nats://127.0.0.1:%d", c.ports[2*i])
	}
	return strings.Join(urls, ",")
}

// Conn connects to the cluster over TCP, makes every stream with three replicas
// (or as many as there are servers), and drains the connection with the test.
func (c *Nodes) Conn(tb testing.TB, opts ...ConnOption) *bus.Conn {
	tb.Helper()
	opts = append([]ConnOption{Replicas(min(3, len(c.nodes)))}, opts...)
	return connect(tb, bus.Options{Name: "bustest", URL: c.URL()}, opts)
}

func (c *Nodes) start(i int) {
	c.tb.Helper()
	n := len(c.nodes)
	routes := make([]*url.URL, n)
	for j := range n {
		routes[j] = &url.URL{Scheme: "nats-route", Host: fmt.Sprintf("127.0.0.1:%d", c.ports[2*j+1])}
	}
	s, err := server.NewServer(&server.Options{
		ServerName: fmt.Sprintf("node-%d", i), Host: "127.0.0.1", Port: c.ports[2*i],
		Cluster:   server.ClusterOpts{Name: "bustest", Host: "127.0.0.1", Port: c.ports[2*i+1], NoAdvertise: true},
		Routes:    routes,
		JetStream: true, StoreDir: filepath.Join(c.dir, fmt.Sprint(i)), SyncInterval: time.Second,
		JetStreamMaxStore: 16 << 30, JetStreamMaxMemory: 64 << 20,
		NoSigs: true, NoLog: true,
	})
	if err != nil {
		c.tb.Fatalf("bustest: node %d: %v", i, err)
	}
	c.nodes[i] = s
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		c.tb.Fatalf("bustest: node %d did not become ready", i)
	}
}

// freePorts finds ports that are free now. All are held until the last is found.
func freePorts(tb testing.TB, n int) []int {
	tb.Helper()
	ports := make([]int, n)
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatalf("bustest: %v", err)
		}
		defer func() { _ = l.Close() }()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}
