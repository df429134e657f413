package lease_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
)

func FuzzParseLease(f *testing.F) {
	f.Add([]byte(`{"worker":"w","service":"session-worker","serviceId":"x","nonce":"n","capacity":5,"keyStore":"k","started":"2026-01-02T03:04:05Z","draining":true}`))
	f.Add([]byte(`{"worker":"w"}`))
	f.Add([]byte(`null`))
	f.Add([]byte{0xff, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := lease.ParseLease(b)
		if err == nil && (l.Worker == "" || l.Nonce == "") {
			t.Errorf("accepted %q", b)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Error("the error repeats its input")
		}
	})
}

func FuzzParseOwner(f *testing.F) {
	f.Add([]byte(`{"worker":"w","nonce":"n","since":"2026-01-02T03:04:05Z","released":true}`))
	f.Add([]byte(`{"worker":"w","nonce":"n","future":[1]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := lease.ParseOwner(b)
		if err == nil && (o.Worker == "" || o.Nonce == "") {
			t.Errorf("accepted %q", b)
		}
		if err != nil {
			return
		}
		again, err := json.Marshal(o)
		if err != nil {
			return // a year that JSON does not know
		}
		if back, err := lease.ParseOwner(again); err != nil || back.Worker != strings.ToValidUTF8(o.Worker, "\ufffd") {
			t.Errorf("%q came back as %+v, %v", b, back, err)
		}
	})
}

func TestUnowned(t *testing.T) {
	owners := map[instance.Partition]lease.Owner{
		0: {Worker: "a", Nonce: "a1"},
		1: {Worker: "a", Nonce: "a0"},                 // an earlier tenure
		2: {Worker: "b", Nonce: "b1", Released: true}, // given up
		3: {Worker: "c", Nonce: "c1"},                 // dead
		5: {Worker: "b", Nonce: "b1"},
	}
	leases := []lease.Lease{{Worker: "a", Nonce: "a1"}, {Worker: "b", Nonce: "b1"}}
	if got := lease.Unowned(6, owners, leases); !slices.Equal(got, []instance.Partition{1, 2, 3, 4}) {
		t.Errorf("unowned %v", got)
	}
	if got := lease.Unowned(3, nil, nil); len(got) != 3 {
		t.Errorf("unowned %v of a fresh stream", got)
	}
}
