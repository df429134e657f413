package lease

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Lease is the value of a lease in WORKERS.
type Lease struct {
	// Worker is the id of the worker, unique in its kind.
	Worker string `json:"worker"`
	// Service and ServiceID address the worker: $SRV.PING.<Service>.<ServiceID>. Without a
	// ServiceID the worker is never pinged, and found dead by expiry alone.
	Service   string `json:"service,omitempty"`
	ServiceID string `json:"serviceId,omitempty"`
	// Nonce names the tenure. It is new whenever the worker lost its lease.
	Nonce string `json:"nonce"`
	// Capacity weighs how many partitions the worker should own; 0 counts as 1.
	Capacity int `json:"capacity,omitempty"`
	// KeyStore is the id of the store that holds the keys of the worker's sessions.
	KeyStore string `json:"keyStore,omitempty"`
	// Started is when the tenure began, by the worker's clock. It is information for people;
	// no decision depends on it.
	Started time.Time `json:"started"`
	// Draining says that the worker is about to stop.
	Draining bool `json:"draining,omitempty"`
}

// Owner is the value of an owner record.
type Owner struct {
	Worker string `json:"worker"`
	// Nonce is that of the lease under which the partition was claimed.
	Nonce string `json:"nonce"`
	// Since is when it was claimed or released, by the worker's clock; information for people.
	Since time.Time `json:"since"`
	// Released says that the worker gave the partition up.
	Released bool `json:"released,omitempty"`
}

// maxRecord bounds what is parsed; ours are a few hundred bytes.
const maxRecord = 16 << 10

// ParseLease reads the value of a lease. Unknown fields are ignored. It fails for
// anything without a worker and a nonce.
func ParseLease(value []byte) (Lease, error) {
	var l Lease
	if err := parse(value, &l); err != nil {
		return Lease{}, fmt.Errorf("lease: bad lease: %w", err)
	}
	if l.Worker == "" || l.Nonce == "" {
		return Lease{}, errors.New("lease: bad lease: no worker or no nonce")
	}
	return l, nil
}

// ParseOwner reads an owner record. Unknown fields are ignored. It fails for
// anything without a worker and a nonce.
func ParseOwner(body []byte) (Owner, error) {
	var o Owner
	if err := parse(body, &o); err != nil {
		return Owner{}, fmt.Errorf("lease: bad owner record: %w", err)
	}
	if o.Worker == "" || o.Nonce == "" {
		return Owner{}, errors.New("lease: bad owner record: no worker or no nonce")
	}
	return o, nil
}

// parse does not repeat the input in its errors.
func parse(b []byte, v any) error {
	if len(b) > maxRecord {
		return errors.New("too long")
	}
	if json.Unmarshal(b, v) != nil {
		return errors.New("not the JSON expected")
	}
	return nil
}

// encode cannot fail for the types of this file, save for a time whose year has
// more than four digits; then the record is unreadable and counts as such.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return b
}
