package control

import (
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/internal/accounts"
	"pairgate.dev/services/lab/labapi"
)

// Limits of an account's fields, in characters.
const (
	minPhone    = 5
	maxPhone    = 15
	maxName     = 100
	maxPassword = 128
)

func (a *API) addAccount(w http.ResponseWriter, r *http.Request) error {
	b, err := readBody(r, false)
	if err != nil {
		return err
	}
	account := a.readAccount(b)
	if err := b.done(); err != nil {
		return err
	}
	if err := a.book.Add(account); err != nil {
		return err
	}
	replyJSON(w, http.StatusCreated, a.show(account))
	return nil
}

func (a *API) readAccount(b *body) (account accounts.Account) {
	before := len(b.bad)
	switch take(b, "provider", "a string", &account.Provider); {
	case len(b.bad) > before:
	case !instance.Provider(account.Provider).Valid():
		b.bad.Add("provider", "must be one of %s", strings.Join(a.providers(), ", "))
	case a.messengers[account.Provider] == nil:
		b.bad.Add("provider", "this lab emulates %s only", strings.Join(a.providers(), ", "))
	}
	before = len(b.bad)
	if take(b, "phone", "a string of digits", &account.Phone); len(b.bad) == before && !validPhone(account.Phone) {
		b.bad.Add("phone", "must be %d to %d digits, without plus", minPhone, maxPhone)
	}
	if take(b, "name", "a string", &account.Name) && !validText(account.Name, maxName) {
		b.bad.Add("name", "must be at most %d characters, none of them control characters", maxName)
	}
	if take(b, "password", "a string", &account.Password) && !validText(account.Password, maxPassword) {
		b.bad.Add("password", "must be at most %d characters, none of them control characters", maxPassword)
	}
	take(b, "passkey", "true or false", &account.Passkey)
	if account.Provider == string(instance.WhatsApp) {
		whatsAppOnly(b, account)
	}
	return account
}

// minWhatsAppPhone is the length of the shortest number that WhatsApp's clients take.
const minWhatsAppPhone = 7

// whatsAppOnly checks what holds for accounts of WhatsApp only.
func whatsAppOnly(b *body, account accounts.Account) {
	if validPhone(account.Phone) && (len(account.Phone) < minWhatsAppPhone || account.Phone[0] == '0') {
		b.bad.Add("phone", "must be an international number of at least %d digits for whatsapp", minWhatsAppPhone)
	}
	if account.Password != "" {
		b.bad.Add("password", "accounts of whatsapp have none")
	}
}

func (a *API) providers() []string {
	var names []string
	for _, p := range instance.Providers() {
		if a.messengers[string(p)] != nil {
			names = append(names, string(p))
		}
	}
	return names
}

func validPhone(s string) bool {
	if len(s) < minPhone || len(s) > maxPhone {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

func validText(s string, limit int) bool {
	return utf8.RuneCountInString(s) <= limit && !slices.ContainsFunc([]rune(s), unicode.IsControl)
}

func (a *API) listAccounts(w http.ResponseWriter, _ *http.Request) error {
	shown := []labapi.Account{}
	for _, account := range a.book.All() {
		shown = append(shown, a.show(account))
	}
	replyJSON(w, http.StatusOK, map[string]any{"accounts": shown})
	return nil
}

func (a *API) getAccount(w http.ResponseWriter, _ *http.Request, _ Messenger, account accounts.Account) error {
	replyJSON(w, http.StatusOK, a.show(account))
	return nil
}

// show is the account as the API shows it.
func (a *API) show(account accounts.Account) labapi.Account {
	now := time.Now()
	shown := labapi.Account{
		Provider: account.Provider, Phone: account.Phone, Name: account.Name,
		HasPassword: account.Password != "", Passkey: account.Passkey,
		Banned: restriction(account.Banned, now), Suspended: restriction(account.Suspended, now),
		Devices: []labapi.Device{},
	}
	m := a.messengers[account.Provider]
	if m != nil {
		shown.PasskeyCode = m.PasskeyCode(account.Phone)
	}
	for _, d := range a.book.Devices(account.Phone) {
		device := labapi.Device{ID: d.ID, Name: d.Name, Instance: d.Instance, LinkedAt: d.LinkedAt, Sent: []labapi.Sent{}}
		if m != nil {
			if since, ok := m.Connection(d.ID); ok {
				utc := since.UTC()
				device.Connected, device.ConnectedAt = true, &utc
			}
			device.Connections, device.MostConnections = m.Connections(d.ID)
			device.Sent = append(device.Sent, m.Sent(d.ID)...)
		}
		shown.Devices = append(shown.Devices, device)
	}
	return shown
}

func restriction(r accounts.Restriction, now time.Time) *labapi.Restriction {
	if !r.Holds(now) {
		return nil
	}
	if r.Until.IsZero() {
		return &labapi.Restriction{}
	}
	until := r.Until.UTC()
	return &labapi.Restriction{Until: &until}
}
