// Package accounts keeps the phones' accounts and their linked devices, whatever
// the messenger, on disk.
package accounts

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"pairgate.dev/services/lab/internal/journal"
	"pairgate.dev/services/lab/internal/refusal"
	"pairgate.dev/services/lab/labapi"
)

// Account is a phone's account.
type Account struct {
	Provider  string      `json:"provider"`
	Phone     string      `json:"phone"`
	Name      string      `json:"name,omitempty"`
	Password  string      `json:"password,omitempty"`
	Passkey   bool        `json:"passkey,omitempty"`
	Banned    Restriction `json:"banned,omitzero"`
	Suspended Restriction `json:"suspended,omitzero"`
}

// Restriction holds while On, until Until unless that is zero.
type Restriction struct {
	On    bool      `json:"on"`
	Until time.Time `json:"until,omitzero"`
}

// Holds says whether the restriction holds at the time.
func (r Restriction) Holds(now time.Time) bool {
	return r.On && (r.Until.IsZero() || r.Until.After(now))
}

// Device is a linked device. Its key is kept as a hash: the lab only compares it.
type Device struct {
	ID       string    `json:"id"`
	Phone    string    `json:"phone"`
	Name     string    `json:"name"`
	Instance string    `json:"instance"`
	KeyHash  [32]byte  `json:"keyHash"`
	LinkedAt time.Time `json:"linkedAt"`
}

// HashKey returns what Device keeps of a key.
func HashKey(key string) [32]byte { return sha256.Sum256([]byte(key)) }

// KeyIs says whether the key is the device's.
func (d Device) KeyIs(key string) bool {
	hash := HashKey(key)
	return subtle.ConstantTimeCompare(hash[:], d.KeyHash[:]) == 1
}

const (
	accountPrefix = "account/"
	devicePrefix  = "device/"
)

// Book is all accounts and devices. Its methods may be called from many
// goroutines. What changes it returns a journal.Pending: nothing that depends on
// the change may be answered before its Wait.
type Book struct {
	journal *journal.Journal

	mu       sync.Mutex
	accounts map[string]Account
	devices  map[string]Device
	byPhone  map[string]map[string]struct{}
}

// Open reads the book from the directory. Errors are those of journal.Open.
func Open(dir string) (*Book, error) {
	b := &Book{accounts: map[string]Account{}, devices: map[string]Device{}, byPhone: map[string]map[string]struct{}{}}
	j, err := journal.Open(dir, b.load)
	if err != nil {
		return nil, err
	}
	b.journal = j
	return b, nil
}

func (b *Book) load(key string, value json.RawMessage) error {
	switch {
	case strings.HasPrefix(key, accountPrefix):
		var a Account
		if err := json.Unmarshal(value, &a); err != nil {
			return fmt.Errorf("%w: an account", journal.ErrDamaged)
		}
		b.accounts[a.Phone] = a
	case strings.HasPrefix(key, devicePrefix):
		var d Device
		if err := json.Unmarshal(value, &d); err != nil {
			return fmt.Errorf("%w: a device", journal.ErrDamaged)
		}
		b.put(d)
	default:
		return fmt.Errorf("%w: a record of a later version", journal.ErrDamaged)
	}
	return nil
}

func (b *Book) put(d Device) {
	b.devices[d.ID] = d
	if b.byPhone[d.Phone] == nil {
		b.byPhone[d.Phone] = map[string]struct{}{}
	}
	b.byPhone[d.Phone][d.ID] = struct{}{}
}

// Close writes what is queued and closes the files.
func (b *Book) Close() error { return b.journal.Close() }

// Add adds an account; it fails with phone_taken when there is one of this phone.
func (b *Book) Add(a Account) error {
	b.mu.Lock()
	if _, ok := b.accounts[a.Phone]; ok {
		b.mu.Unlock()
		return refusal.Conflict(labapi.ReasonPhoneTaken, "There is an account of this phone already.")
	}
	b.accounts[a.Phone] = a
	pending := b.journal.Append(journal.Change{Key: accountPrefix + a.Phone, Value: a})
	b.mu.Unlock()
	return pending.Wait()
}

// Get returns the account of the phone.
func (b *Book) Get(phone string) (Account, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a, ok := b.accounts[phone]
	return a, ok
}

// All returns every account in the order of the phones.
func (b *Book) All() []Account {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Account, 0, len(b.accounts))
	for _, a := range b.accounts {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, c Account) int { return strings.Compare(a.Phone, c.Phone) })
	return all
}

// Update changes an account in place. The phone must exist.
func (b *Book) Update(phone string, change func(*Account)) (Account, journal.Pending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.accounts[phone]
	change(&a)
	b.accounts[phone] = a
	return a, b.journal.Append(journal.Change{Key: accountPrefix + phone, Value: a})
}

// Devices returns the linked devices of the phone, oldest first.
func (b *Book) Devices(phone string) []Device {
	b.mu.Lock()
	defer b.mu.Unlock()
	devices := make([]Device, 0, len(b.byPhone[phone]))
	for id := range b.byPhone[phone] {
		devices = append(devices, b.devices[id])
	}
	slices.SortFunc(devices, func(a, c Device) int {
		if n := a.LinkedAt.Compare(c.LinkedAt); n != 0 {
			return n
		}
		return strings.Compare(a.ID, c.ID)
	})
	return devices
}

// Device returns a linked device and its account.
func (b *Book) Device(id string) (Device, Account, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, ok := b.devices[id]
	return d, b.accounts[d.Phone], ok
}

// Link adds a device and, in the same write, takes out those that it replaces.
func (b *Book) Link(d Device, replaced ...string) journal.Pending {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(d)
	return b.journal.Append(append([]journal.Change{{Key: devicePrefix + d.ID, Value: d}}, b.remove(replaced)...)...)
}

// Unlink takes devices out; those that are not there are no harm.
func (b *Book) Unlink(ids ...string) journal.Pending {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.journal.Append(b.remove(ids)...)
}

func (b *Book) remove(ids []string) (changes []journal.Change) {
	for _, id := range ids {
		d, ok := b.devices[id]
		if !ok {
			continue
		}
		delete(b.devices, id)
		delete(b.byPhone[d.Phone], id)
		if len(b.byPhone[d.Phone]) == 0 {
			delete(b.byPhone, d.Phone)
		}
		changes = append(changes, journal.Change{Key: devicePrefix + id})
	}
	return changes
}
