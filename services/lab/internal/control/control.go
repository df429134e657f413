// Package control is the lab's HTTP API: what a person would do with phones, and
// what a messenger would do to them.
package control

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/internal/accounts"
	"pairgate.dev/services/lab/internal/faults"
	"pairgate.dev/services/lab/internal/refusal"
	"pairgate.dev/services/lab/labapi"
)

// Messenger is what the API asks of an emulated messenger. Errors that are the
// caller's fault are *refusal.Error. The phone has an account there.
type Messenger interface {
	Scan(ctx context.Context, phone, text string) error
	EnterCode(ctx context.Context, phone, code string) error
	// Unlink, Replace and Drop mean every device of the phone when device is empty.
	Unlink(phone, device string) error
	Replace(phone, device string) error
	Drop(phone, device string) error
	// Ban and Suspend hold until the time, or until taken back when it is zero.
	Ban(phone string, until time.Time) error
	Unban(phone string) error
	Suspend(phone string, until time.Time) error
	Unsuspend(phone string) error
	// Connection says since when the device has an open session.
	Connection(device string) (since time.Time, ok bool)
	// Connections is how many connections the device has, and the most that it had at once.
	Connections(device string) (now, most int)
	// AnswerPasskey answers a challenge, JSON, with the passkey of the account.
	AnswerPasskey(phone string, options []byte) ([]byte, error)
	// PasskeyCode is the code that the phone shows for comparison, empty for none.
	PasskeyCode(phone string) string
	// Sent is what the device has sent, oldest first.
	Sent(device string) []labapi.Sent
}

// API serves the control API.
type API struct {
	book       *accounts.Book
	faults     *faults.Switch
	messengers map[string]Messenger
	log        *zap.Logger
}

// New returns the API of the messengers, by provider.
func New(book *accounts.Book, f *faults.Switch, messengers map[string]Messenger, log *zap.Logger) *API {
	return &API{book, f, messengers, log}
}

// Handler returns the routes. It takes requests for loopback names only, and none
// that a browser sends on behalf of another site: anyone on this machine may use
// the lab, but no web page.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		replyJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("POST /accounts", a.handle(a.addAccount))
	mux.HandleFunc("GET /accounts", a.handle(a.listAccounts))
	mux.HandleFunc("GET /accounts/{phone}", a.phone(a.getAccount))
	mux.HandleFunc("POST /accounts/{phone}/scan", a.phone(a.scan))
	mux.HandleFunc("POST /accounts/{phone}/enter-code", a.phone(a.enterCode))
	mux.HandleFunc("POST /accounts/{phone}/passkey", a.phone(a.answerPasskey))
	mux.HandleFunc("POST /accounts/{phone}/unlink", a.phone(onDevice(Messenger.Unlink)))
	mux.HandleFunc("POST /accounts/{phone}/replace", a.phone(onDevice(Messenger.Replace)))
	mux.HandleFunc("POST /accounts/{phone}/drop", a.phone(onDevice(Messenger.Drop)))
	mux.HandleFunc("POST /accounts/{phone}/ban", a.phone(restrict(Messenger.Ban)))
	mux.HandleFunc("POST /accounts/{phone}/unban", a.phone(lift(Messenger.Unban)))
	mux.HandleFunc("POST /accounts/{phone}/suspend", a.phone(restrict(Messenger.Suspend)))
	mux.HandleFunc("POST /accounts/{phone}/unsuspend", a.phone(lift(Messenger.Unsuspend)))
	mux.HandleFunc("GET /faults", a.handle(a.getFaults))
	mux.HandleFunc("POST /faults", a.handle(a.setFaults))
	mux.HandleFunc("DELETE /faults", a.handle(a.clearFaults))
	mux.HandleFunc("/", a.handle(func(http.ResponseWriter, *http.Request) error {
		return instance.Problemf(instance.CodeNotFound, "There is no such route.")
	}))
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(a.handle(func(http.ResponseWriter, *http.Request) error {
		return instance.Problemf(instance.CodeForbidden, "Web pages of other sites may not use the lab.")
	}))
	return a.loopbackOnly(protection.Handler(mux))
}

func (a *API) loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if addr, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !addr.IsLoopback()) {
			a.fail(w, instance.Problemf(instance.CodeForbidden, "The lab answers under loopback names only."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// handle answers with the error that f returns, if any, and bounds the body.
func (a *API) handle(f func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		limit := int64(maxBody)
		if isPicture(r) {
			limit = maxPicture
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		if err := f(w, r); err != nil {
			a.fail(w, err)
		}
	}
}

// phone is handle for the routes of an account.
func (a *API) phone(f func(http.ResponseWriter, *http.Request, Messenger, accounts.Account) error) http.HandlerFunc {
	return a.handle(func(w http.ResponseWriter, r *http.Request) error {
		account, ok := a.book.Get(r.PathValue("phone"))
		if !ok {
			return &refusal.Error{Status: http.StatusNotFound, Reason: labapi.ReasonUnknownPhone, Detail: "There is no account of this phone."}
		}
		m, ok := a.messengers[account.Provider]
		if !ok {
			return instance.Problemf(instance.CodeNotOffered, "This lab does not emulate the messenger of this account.")
		}
		return f(w, r, m, account)
	})
}

func done(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
