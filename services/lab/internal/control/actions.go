package control

import (
	"encoding/json"
	"math"
	"net/http"
	"time"

	"pairgate.dev/services/lab/internal/accounts"
	"pairgate.dev/services/lab/internal/refusal"
	"pairgate.dev/services/lab/labapi"
)

type phoneHandler = func(http.ResponseWriter, *http.Request, Messenger, accounts.Account) error

func (a *API) scan(w http.ResponseWriter, r *http.Request, m Messenger, account accounts.Account) error {
	var text string
	var err error
	if isPicture(r) {
		text, err = readPicture(r.Body)
	} else {
		text, err = readCode(r)
	}
	if err != nil {
		return err
	}
	return done(w, m.Scan(r.Context(), account.Phone, text))
}

func (a *API) enterCode(w http.ResponseWriter, r *http.Request, m Messenger, account accounts.Account) error {
	code, err := readCode(r)
	if err != nil {
		return err
	}
	return done(w, m.EnterCode(r.Context(), account.Phone, code))
}

// answerPasskey does what the owner's browser does when a site asks for his passkey.
func (a *API) answerPasskey(w http.ResponseWriter, r *http.Request, m Messenger, account accounts.Account) error {
	b, err := readBody(r, false)
	if err != nil {
		return err
	}
	var options json.RawMessage
	before := len(b.bad)
	if take(b, "options", "an object", &options); len(options) == 0 && len(b.bad) == before {
		b.bad.Add("options", "is missing")
	}
	if err := b.done(); err != nil {
		return err
	}
	if !account.Passkey {
		return refusal.Conflict(labapi.ReasonPasskeyRefused, "The account has no passkey.")
	}
	answer, err := m.AnswerPasskey(account.Phone, options)
	if err != nil {
		return err
	}
	replyJSON(w, http.StatusOK, json.RawMessage(answer))
	return nil
}

func readCode(r *http.Request) (string, error) {
	b, err := readBody(r, false)
	if err != nil {
		return "", err
	}
	var code string
	before := len(b.bad)
	if take(b, "code", "a string", &code); code == "" && len(b.bad) == before {
		b.bad.Add("code", "is missing")
	}
	return code, b.done()
}

// onDevice is a route whose body may name a device of the phone.
func onDevice(do func(m Messenger, phone, device string) error) phoneHandler {
	return func(w http.ResponseWriter, r *http.Request, m Messenger, account accounts.Account) error {
		b, err := readBody(r, true)
		if err != nil {
			return err
		}
		var device string
		take(b, "device", "a string", &device)
		if err := b.done(); err != nil {
			return err
		}
		return done(w, do(m, account.Phone, device))
	}
}

// lift is a route with nothing to say.
func lift(do func(m Messenger, phone string) error) phoneHandler {
	return func(w http.ResponseWriter, r *http.Request, m Messenger, account accounts.Account) error {
		b, err := readBody(r, true)
		if err != nil {
			return err
		}
		if err := b.done(); err != nil {
			return err
		}
		return done(w, do(m, account.Phone))
	}
}

// restrict is a route whose body may say how long: until a time, or for seconds.
func restrict(do func(m Messenger, phone string, until time.Time) error) phoneHandler {
	return func(w http.ResponseWriter, r *http.Request, m Messenger, account accounts.Account) error {
		b, err := readBody(r, true)
		if err != nil {
			return err
		}
		until := readUntil(b, time.Now())
		if err := b.done(); err != nil {
			return err
		}
		return done(w, do(m, account.Phone, until))
	}
}

// maxRestriction is the longest restriction with an end: ten years.
const maxRestriction = 10 * 365 * 24 * time.Hour

func readUntil(b *body, now time.Time) time.Time {
	var until time.Time
	var seconds float64
	hasUntil := take(b, "until", "a time of RFC 3339", &until)
	hasSeconds := take(b, "seconds", "a number", &seconds)
	switch {
	case hasUntil && hasSeconds:
		b.bad.Add("seconds", "give either until or seconds")
	case hasUntil && (!until.After(now) || until.After(now.Add(maxRestriction))):
		b.bad.Add("until", "must lie ahead, at most ten years")
	case hasSeconds && !(seconds > 0 && seconds <= maxRestriction.Seconds()):
		b.bad.Add("seconds", "must be more than 0, at most ten years")
	case hasSeconds:
		until = now.Add(time.Duration(math.Ceil(seconds*1000)) * time.Millisecond)
	}
	return until
}

func (a *API) getFaults(w http.ResponseWriter, _ *http.Request) error {
	replyJSON(w, http.StatusOK, a.faults.Now())
	return nil
}

func (a *API) setFaults(w http.ResponseWriter, r *http.Request) error {
	b, err := readBody(r, false)
	if err != nil {
		return err
	}
	f, err := a.faults.Change(func(f *labapi.Faults) error {
		take(b, "minimumClientVersion", "a string", &f.MinimumClientVersion)
		take(b, "refusedLogins", "a whole number", &f.RefusedLogins)
		take(b, "throttledLogins", "a whole number", &f.ThrottledLogins)
		take(b, "throttleSeconds", "a whole number", &f.ThrottleSeconds)
		take(b, "silence", "true or false", &f.Silence)
		take(b, "slowAnswersMs", "a whole number", &f.SlowAnswersMs)
		take(b, "abruptCloseAfter", "a whole number", &f.AbruptCloseAfter)
		take(b, "refuseConnections", "true or false", &f.RefuseConnections)
		take(b, "cutLinks", "a whole number", &f.CutLinks)
		take(b, "codeLifeSeconds", "a number", &f.CodeLifeSeconds)
		take(b, "pairingCodeLifeSeconds", "a number", &f.PairingCodeLifeSeconds)
		take(b, "codesPerSession", "a whole number", &f.CodesPerSession)
		takeWhatsApp(b, f)
		return b.done()
	})
	if err != nil {
		return err
	}
	replyJSON(w, http.StatusOK, f)
	return nil
}

// takeWhatsApp takes the fields that are WhatsApp's alone.
func takeWhatsApp(b *body, f *labapi.Faults) {
	for field, v := range map[string]*int{
		"loginFailureReason": &f.LoginFailureReason, "loginFailureCode": &f.LoginFailureCode, "loginFailureSeconds": &f.LoginFailureSeconds,
		"streamErrors": &f.StreamErrors, "streamErrorCode": &f.StreamErrorCode, "rotatedSecrets": &f.RotatedSecrets, "oldPhones": &f.OldPhones,
		"upgradeStatus": &f.UpgradeStatus, "clientRevision": &f.ClientRevision, "preKeyCount": &f.PreKeyCount,
	} {
		take(b, field, "a whole number", v)
	}
	for field, v := range map[string]*bool{"silentPings": &f.SilentPings, "silentRequests": &f.SilentRequests, "hostileClose": &f.HostileClose} {
		take(b, field, "true or false", v)
	}
	take(b, "unlinkedWindowSeconds", "a number", &f.UnlinkedWindowSeconds)
	take(b, "pairingDefect", "a string", &f.PairingDefect)
	take(b, "certificate", "a string", &f.Certificate)
}

func (a *API) clearFaults(w http.ResponseWriter, _ *http.Request) error {
	a.faults.Clear()
	return done(w, nil)
}
