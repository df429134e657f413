package worker_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/session-worker/driver"
)

// onWhatsApp makes the next workers run WhatsApp's driver, on an address where
// nobody answers and with the key store of the directory.
func (r *rig) onWhatsApp(t *testing.T, dataDir string) {
	t.Helper()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	r.drivers, r.dataDir = nil, dataDir
	r.config.Providers = []instance.Provider{instance.WhatsApp}
	r.config.WhatsAppEndpoint = nobody.Addr().String()
	r.config.WhatsAppNoiseRoot = base64.StdEncoding.EncodeToString([]byte("a root that nobody can sign for:"))
}

// asWhatsApp is the phone in memory as another messenger.
type asWhatsApp struct{ driver.Driver }

func (asWhatsApp) Provider() instance.Provider { return instance.WhatsApp }

// A new code would unlink nothing and leave the old device on the phone; only the
// operator knows where the keys are.
func TestAnInstanceWhoseKeysAreElsewhereIsOfflineAndNotPairedAnew(t *testing.T) {
	r := newRig(t)
	r.drivers = []driver.Driver{asWhatsApp{r.phone}}
	stop := r.start()
	defer func() { stop() }()
	record := r.create(false)
	record.Instance.Provider = string(instance.WhatsApp)
	r.put(proto.CloneOf(record))
	r.tell(record, instance.KindCreated)
	id := record.GetInstance().GetId()
	r.ask(record, connect)
	r.await(id, "pairing", phase(instance.Pairing))
	r.phone.scan(instance.ID(id))
	linked := r.await(id, "online", phase(instance.Online))
	stop()

	r.onWhatsApp(t, t.TempDir())
	stop = r.start()
	s := r.await(id, "keys missing", func(s instance.Status) bool { return s.Reason == instance.ReasonKeysMissing })
	if s.Phase != instance.Offline || s.Account == nil || *s.Account != *linked.Account {
		t.Errorf("status %+v, want offline with the account that it was linked to", s)
	}
	stop()
	for _, e := range r.events(id) {
		if _, code := e.GetBody().(*pb.Event_Code); code && e.GetSequence() > 0 && e.GetTime().AsTime().After(s.Since) {
			t.Errorf("a code after the keys were missing: %v", e.GetId())
		}
	}
}

// PostgreSQL may be starting when the worker does.
func TestAWorkerWaitsForItsKeyStoreAndIsNotReadyMeanwhile(t *testing.T) {
	r := newRig(t)
	r.onWhatsApp(t, t.TempDir())
	r.config.WhatsAppDB = seal.Secret("postgres://pairgate:hunter2@" + r.config.WhatsAppEndpoint + "/pairgate")
	stop := r.start()
	bustest.CheckFor(t, 20*time.Second, func() error {
		reasons := r.health.Reasons(t.Context())
		if !slices.ContainsFunc(reasons, func(r service.Reason) bool { return r.Name == service.KeyStore }) {
			return fmt.Errorf("not ready for %v", reasons)
		}
		return nil
	})
	stop() // without an error
}

func TestASecondWorkerWithAnotherKeyStoreRefusesAndNamesTheFix(t *testing.T) {
	r := newRig(t)
	first, second := t.TempDir(), t.TempDir()
	r.onWhatsApp(t, first)
	defer r.start()()
	r.awaitWorker("w1")

	r.config.WorkerID = "w2"
	refuse := func(what string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := r.worker()(ctx)
		if !errors.Is(err, lease.ErrKeyStoreMismatch) || !strings.Contains(err.Error(), "PAIRGATE_WHATSAPP_DB") || !strings.Contains(err.Error(), "PostgreSQL") {
			t.Errorf("%s: %v", what, err)
		}
	}
	r.dataDir = second
	refuse("another file")

	// A copy has the id of the original in it, and is another store all the same.
	if err := os.RemoveAll(second); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(second, os.DirFS(first)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(second, "whatsapp.db")); err != nil {
		t.Fatal(err)
	}
	refuse("a copy of the file")

	r.config.Providers, r.config.SimulatedEndpoint = []instance.Provider{instance.Simulated}, "127.0.0.1:1"
	refuse("no WhatsApp at all")
}
