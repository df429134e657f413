package lease_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/bus/embedded"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
)

// The test binary is also the worker process: it is started again with these.
const (
	envURL     = "LEASE_TEST_URL"
	envWorker  = "LEASE_TEST_WORKER"
	manyIDs    = 1000
	processTTL = 2 * time.Second
)

func TestMain(m *testing.M) {
	if url := os.Getenv(envURL); url != "" {
		if err := workerProcess(url, os.Getenv(envWorker)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// ids are the same in every process.
func ids() map[instance.Partition][]instance.ID {
	all := map[instance.Partition][]instance.ID{}
	for n := range manyIDs {
		id := instance.ID(uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%d", n)).String())
		all[id.Partition()] = append(all[id.Partition()], id)
	}
	return all
}

func status(id instance.ID, epoch uint64) *nats.Msg {
	m := nats.NewMsg(bus.EventSubject(id, instance.KindStatus))
	m.Header.Set(nats.MsgIdHdr, uuid.NewString())
	m.Data = fmt.Appendf(nil, "%d %d", id.Partition(), epoch)
	return m
}

// workerProcess owns partitions and writes statuses of their ids until its input ends. It
// is careless on purpose: when it has lost a partition without having released it, it
// writes once more under the old epoch, and prints whether that was stored.
func workerProcess(url, worker string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := bus.Connect(ctx, bus.Options{Name: worker, URL: url, User: "test", Password: "test-password"})
	if err != nil {
		return err
	}
	s, err := micro.AddService(conn.NATS(), micro.Config{Name: "session-worker", Version: "1.0.0"})
	if err != nil {
		return err
	}
	h := &careless{conn: conn, ids: ids(), sessions: map[instance.Partition]*session{}}
	m, err := lease.Start(ctx, conn, lease.Config{
		Kind: "session-worker", WorkerID: worker, ServiceID: s.Info().ID,
		Stream: bus.StreamEvents, OwnerSubject: bus.OwnerSubject, Partitions: instance.Partitions,
		MoveAge: 200 * time.Millisecond, MovesPerSecond: 1000, TakesPerSecond: 1000,
		RevokeAfter: 300 * time.Millisecond, PingEvery: 100 * time.Millisecond,
	}, h)
	if err != nil {
		return err
	}
	fmt.Println("started")
	_, _ = io.Copy(io.Discard, os.Stdin)
	err = m.Release(ctx)
	h.wg.Wait()
	return errors.Join(err, s.Stop(), conn.Drain(ctx))
}

type session struct {
	epoch  uint64
	cancel context.CancelFunc
	done   chan struct{}
}

type careless struct {
	conn *bus.Conn
	ids  map[instance.Partition][]instance.ID
	wg   sync.WaitGroup

	mu       sync.Mutex
	sessions map[instance.Partition]*session
}

func (h *careless) Acquired(_ context.Context, round lease.Round) {
	for _, p := range round.Partitions {
		w, ok := round.Writer(p.Number)
		if !ok {
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		s := &session{epoch: p.Epoch, cancel: cancel, done: make(chan struct{})}
		h.mu.Lock()
		h.sessions[p.Number] = s
		h.mu.Unlock()
		h.wg.Go(func() {
			defer close(s.done)
			// Every id is told of under the new epoch at once, then again and again, slowly.
			for turn := 0; ctx.Err() == nil; turn++ {
				for _, id := range h.ids[p.Number] {
					if _, err := w.Publish(ctx, status(id, w.Epoch())); err != nil {
						return
					}
				}
				select {
				case <-ctx.Done():
				case <-time.After(500 * time.Millisecond):
				}
			}
		})
	}
}

func (h *careless) Lost(p instance.Partition, why error) {
	h.mu.Lock()
	s := h.sessions[p]
	delete(h.sessions, p)
	h.mu.Unlock()
	if s == nil {
		return
	}
	s.cancel()
	<-s.done
	if errors.Is(why, lease.ErrReleased) || len(h.ids[p]) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := h.conn.JetStream().PublishMsg(ctx, status(h.ids[p][0], s.epoch),
		jetstream.WithExpectLastSequenceForSubject(s.epoch, bus.OwnerSubject(p)))
	switch {
	case err == nil:
		fmt.Println("late stored", p)
	case bus.IsStale(err):
		fmt.Println("late refused", p)
	default:
		fmt.Println("late failed", p, err)
	}
}

// process is a running worker process.
type process struct {
	cmd   *exec.Cmd
	input io.Closer
	read  sync.WaitGroup

	mu    sync.Mutex
	lines []string
}

func spawn(t *testing.T, url, worker string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(exe)}
	p.cmd.Env = append(os.Environ(), envURL+"="+url, envWorker+"="+worker)
	p.cmd.Stderr = os.Stderr
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.read.Go(func() {
		for scan := bufio.NewScanner(out); scan.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, scan.Text())
			p.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		p.read.Wait()
		_ = p.cmd.Wait()
	})
	bustest.CheckFor(t, 20*time.Second, func() error {
		if p.said("started") != 1 {
			return errors.New("not started")
		}
		return nil
	})
	return p
}

// said counts the lines that begin with prefix.
func (p *process) said(prefix string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// stage is a server, two worker processes that share 256 partitions, and somebody
// who looks on.
type stage struct {
	conn *bus.Conn
	seen *lease.Observer
	a, b *process
}

func newStage(t *testing.T) *stage {
	srv := bustest.Server(t, bustest.Listen, func(o *embedded.Options) { o.SyncAlways = false })
	s := &stage{conn: bustest.Conn(t, srv, bustest.LeaseTTL(processTTL))}
	var err error
	s.seen, err = lease.Observe(s.conn, lease.Config{Kind: "session-worker", Stream: bus.StreamEvents,
		OwnerSubject: bus.OwnerSubject, Partitions: instance.Partitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.seen.Close)
	s.a, s.b = spawn(t, srv.URL(), "a"), spawn(t, srv.URL(), "b")
	bustest.CheckFor(t, 20*time.Second, func() error {
		if na, nb := s.owned("a"), s.owned("b"); na < 90 || nb < 90 || na+nb != instance.Partitions {
			return fmt.Errorf("a owns %d, b %d", na, nb)
		}
		return nil
	})
	return s
}

func (s *stage) owned(worker string) (n int) {
	for p := range instance.Partition(instance.Partitions) {
		if l, ok := s.seen.OwnerOf(p); ok && l.Worker == worker {
			n++
		}
	}
	return n
}

func (s *stage) waitOwned(t *testing.T, worker string) {
	t.Helper()
	bustest.CheckFor(t, 20*time.Second, func() error {
		if n := s.owned(worker); n != instance.Partitions {
			return fmt.Errorf("%s owns %d", worker, n)
		}
		return nil
	})
}

// waitStatuses waits until the last status of every id is of the present epoch.
func (s *stage) waitStatuses(t *testing.T) {
	t.Helper()
	bustest.CheckFor(t, 20*time.Second, func() error {
		epochs := map[instance.Partition]uint64{}
		last := map[instance.ID]uint64{}
		err := lease.ReadBarrier(t.Context(), s.conn, bus.StreamEvents, []string{bus.AllEvents, bus.AllOwners}, 0, func(m jetstream.Msg) error {
			meta, err := m.Metadata()
			if err != nil {
				return err
			}
			if p, ok := bus.ParseOwnerSubject(m.Subject()); ok {
				epochs[p] = meta.Sequence.Stream
				return nil
			}
			id, _, _ := bus.ParseEventSubject(m.Subject())
			var p instance.Partition
			var e uint64
			if _, err := fmt.Sscan(string(m.Data()), &p, &e); err != nil {
				return err
			}
			last[id] = e
			return nil
		})
		if err != nil {
			return err
		}
		if len(last) != manyIDs {
			return fmt.Errorf("%d ids have a status", len(last))
		}
		for id, e := range last {
			if e != epochs[id.Partition()] {
				return fmt.Errorf("the last status of %s is of epoch %d, present is %d", id, e, epochs[id.Partition()])
			}
		}
		return nil
	})
}

// kill -9 of one of two worker processes: the other has everything soon, and tells
// every status anew.
func TestProcessKilled(t *testing.T) {
	bustest.CheckGoroutines(t)
	s := newStage(t)
	s.waitStatuses(t)
	s.a.signal(t, syscall.SIGKILL)
	s.waitOwned(t, "b")
	s.waitStatuses(t)
	writes, claims := checkEpochs(t, s.conn)
	t.Logf("%d writes, %d owner records", writes, claims)
}

// A process that is stopped past its lease and then continued finds its writes refused,
// though nobody told it anything.
func TestProcessStoppedPastItsLease(t *testing.T) {
	bustest.CheckGoroutines(t)
	s := newStage(t)
	s.waitStatuses(t)
	s.a.signal(t, syscall.SIGSTOP)
	s.waitOwned(t, "b")
	s.a.signal(t, syscall.SIGCONT)
	bustest.CheckFor(t, 20*time.Second, func() error {
		if n := s.a.said("late refused"); n < 50 {
			return fmt.Errorf("%d late writes refused", n)
		}
		return nil
	})
	if n := s.a.said("late stored"); n != 0 {
		t.Errorf("%d late writes were stored", n)
	}
	// It comes back as a worker like any other.
	bustest.CheckFor(t, 20*time.Second, func() error {
		if na, nb := s.owned("a"), s.owned("b"); na < 90 || na+nb != instance.Partitions {
			return fmt.Errorf("a owns %d, b %d", na, nb)
		}
		return nil
	})
	s.waitStatuses(t)
	if err := s.b.input.Close(); err != nil { // a graceful end
		t.Fatal(err)
	}
	s.waitOwned(t, "a")
	s.waitStatuses(t)
	writes, claims := checkEpochs(t, s.conn)
	t.Logf("%d writes, %d owner records, %d late writes refused", writes, claims, s.a.said("late refused"))
}
