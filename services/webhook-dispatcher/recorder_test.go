package dispatcher_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	pb "pairgate.dev/proto/pairgate/v1"
)

// posted is one request that a recorder got.
type posted struct {
	path   string
	header http.Header
	body   string
}

// recorder is a receiver that keeps everything, whatever the format.
type recorder struct {
	*httptest.Server
	tb testing.TB

	mu     sync.Mutex
	answer func(p posted, nth int) int
	got    []posted
}

// newRecorder answers as answer says, which is told the number of the request from 1;
// nil for 200.
func newRecorder(tb testing.TB, answer func(p posted, nth int) int) *recorder {
	tb.Helper()
	r := &recorder{tb: tb, answer: answer}
	r.Server = httptest.NewServer(r)
	tb.Cleanup(r.Server.Close)
	return r
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	p := posted{path: req.URL.Path, header: req.Header.Clone(), body: string(body)}
	r.mu.Lock()
	r.got = append(r.got, p)
	answer, nth := r.answer, len(r.got)
	r.mu.Unlock()
	if answer != nil {
		w.WriteHeader(answer(p, nth))
	}
}

// wait waits until n requests came, and returns all.
func (r *recorder) wait(n int) []posted {
	r.tb.Helper()
	var all []posted
	bustest.CheckFor(r.tb, patience, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if all = append(all[:0], r.got...); len(all) < n {
			return fmt.Errorf("%d of %d requests", len(all), n)
		}
		return nil
	})
	return all
}

// became publishes a status of an instance in its words, from one phase to another.
func (w *world) became(rec *pb.InstanceRecord, before, now instance.Phase, reason instance.Reason, account, previous bool) uint64 {
	w.tb.Helper()
	s := &pb.Status{Phase: string(now), PreviousPhase: string(before), PreviouslyLinked: previous, Reason: string(reason), Attempt: 1}
	if account {
		s.Account = &pb.Account{Id: "5511@s.whatsapp.net", Phone: "5511", Name: "Bob"}
	}
	in := rec.GetInstance()
	return w.publish(&pb.Event{Kind: string(instance.KindStatus), Attempt: 1, Body: &pb.Event_Status{Status: s},
		Instance: &pb.InstanceRef{Id: in.GetId(), Name: in.GetName(), Number: in.GetNumber(), Provider: in.GetProvider()}})
}

// instance stores an instance where the registry would, with the flags of GREEN-API
// that are yes.
func (w *world) instance(number uint64, flags ...string) *pb.InstanceRecord {
	w.tb.Helper()
	id := newInstance()
	rec := &pb.InstanceRecord{Instance: &pb.Instance{Id: string(id), Name: fmt.Sprint("shop ", number), Number: number, Provider: "whatsapp",
		CreatedAt: timestamppb.Now(), Settings: &pb.InstanceSettings{GreenApi: &pb.GreenApiSettings{Flags: flags}}}}
	var err error
	if rec.SealedToken, err = w.ring.Seal([]byte(fmt.Sprint("token-", number)), seal.ForToken(string(id))); err != nil {
		w.tb.Fatal(err)
	}
	w.putInstance(rec)
	return rec
}

func (w *world) putInstance(rec *pb.InstanceRecord) {
	w.tb.Helper()
	kv, err := w.conn.KeyValue(w.ctx(), bus.BucketInstances)
	if err != nil {
		w.tb.Fatal(err)
	}
	data, err := bus.EncodeJSON(rec)
	if err != nil {
		w.tb.Fatal(err)
	}
	if _, err := kv.Put(w.ctx(), bus.InstanceKey(instance.ID(rec.GetInstance().GetId())), data); err != nil {
		w.tb.Fatal(err)
	}
}

// hookOf puts an endpoint of a format, with headers.
func (w *world) hookOf(rec *pb.InstanceRecord, url string, format instance.Format, headers string, change func(*pb.EndpointRecord)) string {
	w.tb.Helper()
	return w.hook(instance.ID(rec.GetInstance().GetId()), url, func(e *pb.EndpointRecord) {
		e.Webhook.Format = string(format)
		if headers != "" {
			sealed, err := w.ring.Seal([]byte(headers), seal.ForWebhookHeaders(e.Webhook.Id))
			if err != nil {
				w.tb.Fatal(err)
			}
			e.SealedHeaders = sealed
		}
		if change != nil {
			change(e)
		}
	})
}
