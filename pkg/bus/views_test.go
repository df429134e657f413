package bus_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

func record(id instance.ID, name string, number uint64, token string) *pb.InstanceRecord {
	return &pb.InstanceRecord{
		Instance: &pb.Instance{Id: string(id), Name: name, Number: number, Provider: "whatsapp", QrTimeout: 120,
			CreatedAt: timestamppb.Now(), UpdatedAt: timestamppb.Now(), Request: 1, SpecVersion: 1},
		TokenHash: strings.Repeat(token, 64)[:64],
	}
}

func storeRecord(t testing.TB, c *bus.Conn, rec *pb.InstanceRecord) uint64 {
	t.Helper()
	return storeKey(t, c, bus.BucketInstances, bus.InstanceKey(instance.ID(rec.Instance.Id)), rec)
}

func encode(t testing.TB, rec *pb.InstanceRecord) []byte {
	t.Helper()
	body, err := bus.EncodeJSON(rec)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestInstanceViewFindsInstances(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	v := views(t, c).Instances
	one, two, gone := newID(), newID(), newID()
	storeRecord(t, c, record(two, "two", 1101000002, "b"))
	storeRecord(t, c, record(one, "one", 1101000001, "a"))
	dead := record(gone, "gone", 1101000003, "a")
	dead.DeletedAt = timestamppb.Now()
	storeRecord(t, c, dead)
	ready(t, v.Ready())

	resolve := func(ref string, want instance.ID) {
		t.Helper()
		if id, ok := v.Resolve(ref); ok != (want != "") || ok && id != want {
			t.Errorf("%q resolves to %q (%v), want %q", ref, id, ok, want)
		}
	}
	resolve(string(one), one)
	resolve(strings.ToUpper(string(one)), one)
	resolve("1101000001", one)
	resolve("01101000001", "")
	resolve("two", two)
	resolve("Two", "")
	resolve("", "")
	resolve(string(gone), "")
	resolve("gone", "")
	resolve("1101000003", "")
	if rec, _, ok := v.Get(gone); !ok || !bus.InstanceDeleted(rec) {
		t.Error("a tombstone cannot be read")
	}
	buried := func(number uint64, want instance.ID) {
		t.Helper()
		if rec, ok := v.DeletedByNumber(number); ok != (want != "") || ok && rec.Instance.Id != string(want) {
			t.Errorf("the deleted instance %d is %v (%v), want %q", number, rec.GetInstance().GetId(), ok, want)
		}
	}
	buried(1101000003, gone)
	buried(1101000001, "")
	buried(5, "")
	a, b := strings.Repeat("a", 64), strings.Repeat("b", 64)
	if got := v.ByToken(a); !slices.Equal(got, []instance.ID{one}) {
		t.Errorf("token a is of %v", got)
	}
	names := func(from instance.ID) (names []string) {
		for rec := range v.After(from) {
			names = append(names, rec.Instance.Name)
		}
		return names
	}
	if got := names(""); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("the list is %v", got)
	}
	if got := names(one); !slices.Equal(got, []string{"two"}) {
		t.Errorf("the list after one is %v", got)
	}
	var all []string
	for rec := range v.All() {
		all = append(all, rec.Instance.Name)
	}
	if !slices.Equal(all, []string{"one", "two", "gone"}) || v.Count() != 2 {
		t.Errorf("all are %v, %d live", all, v.Count())
	}

	// A rename frees the name, a rotation the token, both at once for readers.
	storeRecord(t, c, record(two, "three", 1101000002, "a"))
	rev := storeRecord(t, c, record(newID(), "two", 1101000004, "c"))
	if err := v.WaitRevision(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	resolve("three", two)
	if id, _ := v.Resolve("two"); id == two {
		t.Error("the old name still finds the renamed instance")
	}
	if got := v.ByToken(a); !slices.Equal(got, []instance.ID{one, two}) {
		t.Errorf("token a is of %v", got)
	}
	if got := v.ByToken(b); len(got) != 0 {
		t.Errorf("the token before the rotation is of %v", got)
	}
	tomb := record(one, "one", 1101000001, "a")
	tomb.DeletedAt = timestamppb.Now()
	if err := v.WaitRevision(t.Context(), storeRecord(t, c, tomb)); err != nil {
		t.Fatal(err)
	}
	resolve("one", "")
	buried(1101000001, one)
	if got := v.ByToken(a); !slices.Equal(got, []instance.ID{two}) {
		t.Errorf("after the deletion token a is of %v", got)
	}
	// Claims of names, numbers and tokens in the same bucket are not instances.
	kv, err := c.KeyValue(t.Context(), bus.BucketInstances)
	if err != nil {
		t.Fatal(err)
	}
	rev, err = kv.Create(t.Context(), bus.NumberKey(5), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.WaitRevision(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
}

func TestInstanceViewTellsOfChangesInOrder(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	v := views(t, c).Instances
	id := newID()
	var told []string
	done := make(chan struct{})
	v.Subscribe(func(ch bus.InstanceChange) {
		told = append(told, fmt.Sprintf("%d:%s<%s", ch.Revision, ch.Value.GetInstance().GetName(), ch.Previous.GetInstance().GetName()))
		if got, ok := v.Resolve(ch.Value.GetInstance().GetName()); !ok || got != id {
			t.Errorf("%s cannot be found when it is told of", ch.Value.GetInstance().GetName())
		}
		if len(told) == 3 {
			close(done)
		}
	})
	ready(t, v.Ready())
	for i := range 3 {
		storeRecord(t, c, record(id, fmt.Sprintf("name %d", i), 1101000001, "a"))
	}
	ready(t, done)
	if want := []string{"1:name 0<", "2:name 1<name 0", "3:name 2<name 1"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

// 100,000 instances must fit; the bound is for records and indexes together.
func TestInstanceViewIsCheapInMemory(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	const n = 5_000
	ids := make([]instance.ID, n)
	fill(t, c, n, func(i int) (string, []byte) {
		ids[i] = newID()
		rec := record(ids[i], fmt.Sprintf("instance %d", i), 1101000000+uint64(i), "a")
		rec.TokenHash = fmt.Sprintf("%064x", i)
		rec.SealedToken = make([]byte, 80)
		return bus.BucketSubject(bus.BucketInstances, bus.InstanceKey(ids[i])), encode(t, rec)
	})
	before := heap()
	v := views(t, c).Instances
	ready(t, v.Ready())
	if v.Count() != n {
		t.Fatalf("holds %d instances, want %d", v.Count(), n)
	}
	each := (int64(heap()) - int64(before)) / n
	t.Logf("%d bytes for each instance", each)
	if each > 2048 {
		t.Errorf("an instance takes %d bytes, want at most 2048", each)
	}
	if id, ok := v.Resolve(fmt.Sprint(1101000000 + n - 1)); !ok || id != ids[n-1] {
		t.Error("the last instance cannot be found by its number")
	}
	runtime.KeepAlive(v)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestEndpointViewKnowsTheEndpointsOfAnInstance(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	v := views(t, c).Endpoints
	one := newID()
	put := func(webhook string, id instance.ID) uint64 {
		return storeKey(t, c, bus.BucketEndpoints, bus.EndpointKey(webhook), &pb.EndpointRecord{Webhook: &pb.Webhook{Id: webhook, InstanceId: string(id), Url: "https://example.com/"}})
	}
	put("b", one)
	put("a", one)
	if err := v.WaitRevision(t.Context(), put("c", "")); err != nil {
		t.Fatal(err)
	}
	of := func(id instance.ID) string {
		var ids []string
		for _, rec := range v.ByInstance(id) {
			ids = append(ids, rec.Webhook.Id)
		}
		return strings.Join(ids, " ")
	}
	if of(one) != "a b" || of("") != "c" || of(newID()) != "" || v.Count() != 3 {
		t.Errorf("of the instance %q, of all %q, %d in all", of(one), of(""), v.Count())
	}
	kv, err := c.KeyValue(t.Context(), bus.BucketEndpoints)
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Delete(t.Context(), bus.EndpointKey("a")); err != nil {
		t.Fatal(err)
	}
	if err := v.WaitRevision(t.Context(), put("b", "")); err != nil {
		t.Fatal(err)
	}
	if of(one) != "" || of("") != "b c" {
		t.Errorf("after the changes: of the instance %q, of all %q", of(one), of(""))
	}
	if _, rev, ok := v.Get("b"); !ok || rev != 5 {
		t.Errorf("b has revision %d (%v)", rev, ok)
	}
	n := 0
	for range v.All() {
		n++
	}
	if n != 2 {
		t.Errorf("all are %d", n)
	}
}

func TestSettingsViewTellsWhatIsSet(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	v := views(t, c).Settings
	ready(t, v.Ready())
	if s := v.Get(); s.GetWhatsappVersion() != "" {
		t.Errorf("set is %v before anything was", s)
	}
	heard := make(chan string, 4)
	t.Cleanup(v.Subscribe(func(s *pb.Settings) { heard <- s.GetWhatsappVersion() }))
	// What else the bucket holds is none of its business.
	kv, err := c.KeyValue(t.Context(), bus.BucketSettings)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), bus.KeyCheckKey, []byte("sealed")); err != nil {
		t.Fatal(err)
	}
	storeKey(t, c, bus.BucketSettings, bus.SettingsKey, &pb.Settings{WhatsappVersion: "2.3000.5"})
	if got := <-heard; got != "2.3000.5" || v.Get().GetWhatsappVersion() != got {
		t.Errorf("heard %q, reads %v", got, v.Get())
	}
	if err := kv.Delete(t.Context(), bus.SettingsKey); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != "" || v.Get().GetWhatsappVersion() != "" {
		t.Errorf("heard %q, reads %v after the deletion", got, v.Get())
	}
}
