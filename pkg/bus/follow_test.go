package bus_test

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/bus/embedded"
)

// followNumbers follows ENDPOINTS, whose test values are numbers.
func followNumbers(t *testing.T, c *bus.Conn) *bus.Follower[int] {
	t.Helper()
	f := bus.Follow(c, bus.FollowOptions[int]{Bucket: bus.BucketEndpoints,
		Decode: func(_ string, data []byte) (int, error) { return strconv.Atoi(string(data)) }})
	t.Cleanup(f.Stop)
	return f
}

func put(t *testing.T, c *bus.Conn, key, value string) uint64 {
	t.Helper()
	kv, err := c.KeyValue(t.Context(), bus.BucketEndpoints)
	if err != nil {
		t.Fatal(err)
	}
	rev, err := kv.Put(t.Context(), key, []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func ready(t *testing.T, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(30 * time.Second):
		t.Fatal("not ready in time")
	}
}

// republish turns what the server publishes again of a stream off and on: what
// is stored in between is what a follower has missed.
func republish(t *testing.T, c *bus.Conn, stream string, to *jetstream.RePublish) (before *jetstream.RePublish) {
	t.Helper()
	s, err := c.JetStream().Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	before, cfg.RePublish = cfg.RePublish, to
	if _, err := c.JetStream().UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return before
}

// changes collects what a follower tells its subscribers.
type changes struct {
	mu   sync.Mutex
	list []string
}

func (c *changes) add(ch bus.Change[int]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch.Deleted {
		c.list = append(c.list, fmt.Sprintf("-%s=%d", ch.Key, ch.Previous))
		return
	}
	c.list = append(c.list, fmt.Sprintf("%s=%d", ch.Key, ch.Value))
}

func (c *changes) are(want ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if fmt.Sprint(c.list) != fmt.Sprint(want) {
		return fmt.Errorf("changes are %v, want %v", c.list, want)
	}
	return nil
}

func TestFollowerHoldsSnapshotThenLive(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	put(t, c, "a", "1")
	put(t, c, "b", "2")
	put(t, c, "a", "3")
	f := followNumbers(t, c)
	var seen changes
	f.Subscribe(seen.add)
	ready(t, f.Ready())
	if v, rev, ok := f.Get("a"); v != 3 || rev != 3 || !ok {
		t.Errorf("a is %d at %d (%v), want 3 at 3", v, rev, ok)
	}
	rev := put(t, c, "c", "4")
	if err := f.WaitRevision(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	kv, _ := c.KeyValue(t.Context(), bus.BucketEndpoints)
	if err := kv.Delete(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	bustest.CheckFor(t, 10*time.Second, func() error { return seen.are("b=2", "a=3", "c=4", "-b=2") })
	if f.Len() != 2 {
		t.Errorf("%d keys are held, want 2", f.Len())
	}
}

func TestFollowerOfAnEmptyBucketIsReady(t *testing.T) {
	bustest.CheckGoroutines(t)
	f := followNumbers(t, bustest.Conn(t, bustest.Server(t)))
	ready(t, f.Ready())
	if f.Len() != 0 || f.Revision() != 0 {
		t.Errorf("holds %d keys at revision %d", f.Len(), f.Revision())
	}
}

func TestFollowerStartsBeforeItsBucketExists(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t), bustest.WithoutStreams())
	f := followNumbers(t, c)
	f.Start()
	if _, err := bus.Ensure(t.Context(), c, bus.EnsureOptions{}); err != nil {
		t.Fatal(err)
	}
	ready(t, f.Ready())
}

func TestFollowerRepairsWhatWasNotRepublished(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	f := followNumbers(t, c)
	var seen changes
	f.Subscribe(seen.add)
	ready(t, f.Ready())
	stream := bus.BucketStream(bus.BucketEndpoints)
	on := republish(t, c, stream, nil)
	put(t, c, "a", "1")
	put(t, c, "a", "2")
	t.Run("when nothing follows", func(t *testing.T) {
		bustest.CheckFor(t, 10*time.Second, func() error { return seen.are("a=1", "a=2") })
	})
	for i := range 100 { // more than are read one by one
		put(t, c, "b", strconv.Itoa(i))
	}
	republish(t, c, stream, on)
	rev := put(t, c, "c", "3")
	t.Run("when the next message shows the gap", func(t *testing.T) {
		if err := f.WaitRevision(t.Context(), rev); err != nil {
			t.Fatal(err)
		}
		if v, _, _ := f.Get("b"); v != 99 {
			t.Errorf("b is %d, want 99", v)
		}
		if v, _, _ := f.Get("c"); v != 3 {
			t.Errorf("c is %d, want 3", v)
		}
	})
}

func TestFollowerSurvivesServerRestart(t *testing.T) {
	bustest.CheckGoroutines(t)
	var o embedded.Options
	srv := bustest.Server(t, func(opts *embedded.Options) { bustest.Listen(opts); o = *opts })
	c, err := bus.Connect(t.Context(), bus.Options{Name: "test", URL: srv.URL(), User: o.User, Password: o.Password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Drain(t.Context()) })
	if _, err := bus.Ensure(t.Context(), c, bus.EnsureOptions{}); err != nil {
		t.Fatal(err)
	}
	f := followNumbers(t, c)
	var seen changes
	f.Subscribe(seen.add)
	put(t, c, "a", "1")
	bustest.CheckFor(t, 10*time.Second, func() error { return seen.are("a=1") })

	again := restart(t, srv, o)
	inside := bustest.Conn(t, again) // writes before the follower is back
	put(t, inside, "a", "2")
	put(t, inside, "b", "3")
	bustest.CheckFor(t, 20*time.Second, func() error { return seen.are("a=1", "a=2", "b=3") })
	put(t, inside, "c", "4")
	bustest.CheckFor(t, 20*time.Second, func() error { return seen.are("a=1", "a=2", "b=3", "c=4") })
	bustest.CheckFor(t, 20*time.Second, func() error {
		if d := f.SilentFor(); d > 2*time.Second {
			return fmt.Errorf("silent for %v", d)
		}
		return nil
	})
}

// restart ends the server and starts another on its directory and port.
func restart(t *testing.T, srv *embedded.Server, o embedded.Options) *embedded.Server {
	t.Helper()
	host, port := hostPort(t, srv.Addr())
	srv.Shutdown()
	o.Host, o.Port = host, port
	var again *embedded.Server
	bustest.CheckFor(t, 10*time.Second, func() (err error) {
		again, err = embedded.Start(o)
		return err
	})
	t.Cleanup(again.Shutdown)
	return again
}

func TestFollowerSeesLeasesExpire(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t), bustest.LeaseTTL(time.Second))
	v := bus.NewViews(c, nil)
	t.Cleanup(v.Close)
	ready(t, v.Workers.Ready())
	kv, err := c.KeyValue(t.Context(), bus.BucketWorkers)
	if err != nil {
		t.Fatal(err)
	}
	key := bus.WorkerKey("session-worker", "one")
	rev, err := kv.Create(t.Context(), key, []byte("lease"))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Workers.WaitRevision(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	if lease, got, ok := v.Workers.Get(key); !ok || string(lease) != "lease" || got != rev {
		t.Errorf("the lease reads %q at %d (%v), want %q at %d", lease, got, ok, "lease", rev)
	}
	bustest.CheckFor(t, 20*time.Second, func() error {
		if n := v.Workers.Count(); n != 0 {
			return fmt.Errorf("%d leases are held", n)
		}
		return nil
	})
}

// The marker of an expiry lives for a minute. After a longer gap nothing in the
// stream tells of the key any more.
func TestFollowerNoticesKeysThatVanishedInALongGap(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	f := followNumbers(t, c)
	f.SetSnapshotAfter(time.Nanosecond)
	var seen changes
	f.Subscribe(seen.add)
	put(t, c, "gone", "1")
	put(t, c, "kept", "2")
	bustest.CheckFor(t, bustestWait, func() error { return seen.are("gone=1", "kept=2") })
	stream, err := c.JetStream().Stream(t.Context(), bus.BucketStream(bus.BucketEndpoints))
	if err != nil {
		t.Fatal(err)
	}
	republish(t, c, bus.BucketStream(bus.BucketEndpoints), nil)
	put(t, c, "kept", "3")
	put(t, c, "kept", "4")
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject(bus.BucketSubject(bus.BucketEndpoints, "gone"))); err != nil {
		t.Fatal(err)
	}
	put(t, c, "kept", "5")
	bustest.CheckFor(t, bustestWait, func() error {
		v, _, _ := f.Get("kept")
		if _, _, ok := f.Get("gone"); ok || v != 5 {
			return fmt.Errorf("gone is held: %v; kept is %d", ok, v)
		}
		return nil
	})
}

func TestFollowerEndsWhenItsConnectionWasClosedBefore(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	f := followNumbers(t, c)
	ready(t, f.Ready())
	if err := c.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	bustest.CheckFor(t, bustestWait, func() error {
		if d := f.SilentFor(); d < 2*time.Second {
			return fmt.Errorf("silent for %v only", d)
		}
		return nil
	})
	f.Stop()
}

func TestFollowerStartsOverWhenTheBucketIsMadeAnew(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	f := followNumbers(t, c)
	var seen changes
	f.Subscribe(seen.add)
	for i := range 5 {
		put(t, c, "k"+strconv.Itoa(i), strconv.Itoa(i))
	}
	bustest.CheckFor(t, 10*time.Second, func() error { return seen.are("k0=0", "k1=1", "k2=2", "k3=3", "k4=4") })
	if err := c.JetStream().DeleteStream(t.Context(), bus.BucketStream(bus.BucketEndpoints)); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.Ensure(t.Context(), c, bus.EnsureOptions{}); err != nil {
		t.Fatal(err)
	}
	put(t, c, "k0", "10")
	put(t, c, "new", "11")
	bustest.CheckFor(t, 20*time.Second, func() error {
		k0, rev, _ := f.Get("k0")
		fresh, _, _ := f.Get("new")
		if k0 != 10 || rev != 1 || fresh != 11 || f.Len() != 2 {
			return fmt.Errorf("k0=%d at %d, new=%d, %d keys", k0, rev, fresh, f.Len())
		}
		return nil
	})
}

func TestFollowerKeepsTheValueWhenTheNextCannotBeRead(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	f := followNumbers(t, c)
	put(t, c, "a", "1")
	rev := put(t, c, "a", "not a number")
	if err := f.WaitRevision(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	ready(t, f.Ready())
	put(t, c, "b", "2")
	rev = put(t, c, "b", "not a number")
	if err := f.WaitRevision(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	if v, _, ok := f.Get("b"); v != 2 || !ok {
		t.Errorf("b is %d (%v), want 2", v, ok)
	}
}

func TestFollowerWaitRevisionEndsWithItsContextAndWithTheFollower(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	f := followNumbers(t, c)
	ready(t, f.Ready())
	done := make(chan error, 1)
	go func() { done <- f.WaitRevision(t.Context(), 1000) }()
	f.Stop()
	if err := <-done; err == nil {
		t.Error("waiting for what never comes ended without error")
	}
	if err := f.WaitRevision(t.Context(), 0); err != nil {
		t.Errorf("what is applied already: %v", err)
	}
}

func TestFollowerReadsManyKeys(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	const n = 20_000
	fill(t, c, n, func(i int) (string, []byte) {
		return bus.BucketSubject(bus.BucketEndpoints, "k"+strconv.Itoa(i)), []byte(strconv.Itoa(i))
	})
	f := followNumbers(t, c)
	ready(t, f.Ready())
	if f.Len() != n {
		t.Fatalf("holds %d keys, want %d", f.Len(), n)
	}
	for k, v := range f.All() {
		if k != "k"+strconv.Itoa(v) {
			t.Fatalf("%s is %d", k, v)
		}
	}
}

// fill publishes n messages quickly.
func fill(t testing.TB, c *bus.Conn, n int, message func(i int) (subject string, body []byte)) {
	t.Helper()
	var last []jetstream.PubAckFuture
	for i := range n {
		subject, body := message(i)
		ack, err := c.JetStream().PublishAsync(subject, body, jetstream.WithStallWait(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		last = append(last, ack)
	}
	select {
	case <-c.JetStream().PublishAsyncComplete():
	case <-time.After(time.Minute):
		t.Fatal("publishing took too long")
	}
	for _, ack := range last {
		select {
		case err := <-ack.Err():
			t.Fatal(err)
		default:
		}
	}
}

func TestStaleViewsAreNamed(t *testing.T) {
	bustest.CheckGoroutines(t)
	srv := bustest.Server(t)
	c := bustest.Conn(t, srv)
	v := bus.NewViews(c, nil)
	t.Cleanup(v.Close)
	if stale := v.Stale(); len(stale) != 0 {
		t.Errorf("views that nobody uses are stale: %v", stale)
	}
	ready(t, v.Instances.Ready())
	ready(t, v.Events.Ready())
	bustest.CheckFor(t, 10*time.Second, func() error {
		if stale := v.Stale(); len(stale) != 0 {
			return fmt.Errorf("stale: %v", stale)
		}
		return nil
	})
	srv.Shutdown()
	bustest.CheckFor(t, 20*time.Second, func() error {
		if stale := v.Stale(); fmt.Sprint(stale) != "[instances sessions]" {
			return errors.New("stale: " + fmt.Sprint(stale))
		}
		return nil
	})
}

// bustestWait is how long tests wait for what must come.
const bustestWait = 30 * time.Second

func hostPort(t *testing.T, addr string) (string, int) {
	t.Helper()
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(p)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

func storeKey(t testing.TB, c *bus.Conn, bucket, key string, m proto.Message) uint64 {
	t.Helper()
	body, err := bus.EncodeJSON(m)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := c.KeyValue(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	rev, err := kv.Put(t.Context(), key, body)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func TestFollowerOfABucketThatIsNotRepublished(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	f := bus.Follow(c, bus.FollowOptions[string]{Bucket: bus.BucketSettings, Decode: func(_ string, data []byte) (string, error) { return string(data), nil }})
	t.Cleanup(f.Stop)
	ready(t, f.Ready())
	kv, err := c.KeyValue(t.Context(), bus.BucketSettings)
	if err != nil {
		t.Fatal(err)
	}
	rev, err := kv.Put(t.Context(), bus.SettingsKey, []byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.WaitRevision(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	if v, _, _ := f.Get(bus.SettingsKey); v != "new" {
		t.Errorf("reads %q", v)
	}
}
