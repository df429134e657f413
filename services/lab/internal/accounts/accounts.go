// Package accounts keeps the phones' accounts and their linked devices, whatever
// the messenger, on disk.
package accounts

import (
	"crypto/rand"
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
	// Numbers is the number that a WhatsApp device of the account got last.
	Numbers uint16 `json:"numbers,omitempty"`
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
	// WhatsApp is what that messenger needs of its devices; nil for others.
	WhatsApp *WhatsApp `json:"whatsapp,omitempty"`
}

// WhatsApp is what WhatsApp knows of a device. What a Book has returned of it is not to be changed.
type WhatsApp struct {
	// Number is the device's number in its account, from 1 on.
	Number uint16 `json:"number"`
	// Registration and Identity are what the device called itself when it was linked.
	Registration uint32 `json:"registration"`
	Identity     []byte `json:"identity"`
	// PreKeys are the prekeys that it has uploaded, as the messenger packs them.
	PreKeys []byte `json:"preKeys,omitempty"`
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
	secretPrefix  = "secret/"
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
	secrets  map[string][]byte
}

// Open reads the book from the directory. Errors are those of journal.Open.
func Open(dir string) (*Book, error) {
	b := &Book{accounts: map[string]Account{}, devices: map[string]Device{}, byPhone: map[string]map[string]struct{}{}, secrets: map[string][]byte{}}
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
	case strings.HasPrefix(key, secretPrefix):
		var secret []byte
		if err := json.Unmarshal(value, &secret); err != nil || len(secret) != secretSize {
			return fmt.Errorf("%w: a secret", journal.ErrDamaged)
		}
		b.secrets[strings.TrimPrefix(key, secretPrefix)] = secret
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

// secretSize is the length of a secret in bytes.
const secretSize = 32

// Secret returns the random secret of this name, which is made and written when it is
// asked for the first time.
func (b *Book) Secret(name string) ([secretSize]byte, error) {
	b.mu.Lock()
	if secret, ok := b.secrets[name]; ok {
		b.mu.Unlock()
		return [secretSize]byte(secret), nil
	}
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret)
	b.secrets[name] = secret
	pending := b.journal.Append(journal.Change{Key: secretPrefix + name, Value: secret})
	b.mu.Unlock()
	return [secretSize]byte(secret), pending.Wait()
}

// MaxNumber is the highest number of a WhatsApp device: what fits into its address.
const MaxNumber = 255

// NextNumber takes a number for a WhatsApp device of the phone, which must exist: after
// the one that was taken last, and from 1 again after MaxNumber, one that no linked
// device has. ok is false when there is none. It is on disk no later than what is
// queued after it.
func (b *Book) NextNumber(phone string) (number uint16, ok bool) {
	used := map[uint16]bool{}
	for _, d := range b.Devices(phone) {
		if d.WhatsApp != nil {
			used[d.WhatsApp.Number] = true
		}
	}
	if len(used) >= MaxNumber {
		return 0, false
	}
	a, _ := b.Update(phone, func(a *Account) {
		a.Numbers = a.Numbers%MaxNumber + 1
		for used[a.Numbers] {
			a.Numbers = a.Numbers%MaxNumber + 1
		}
	})
	return a.Numbers, true
}

// Edit changes a linked device in place; ok is false when there is none.
func (b *Book) Edit(id string, change func(*Device)) (pending journal.Pending, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, ok := b.devices[id]
	if !ok {
		return pending, false
	}
	change(&d)
	b.put(d)
	return b.journal.Append(journal.Change{Key: devicePrefix + id, Value: d}), true
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
