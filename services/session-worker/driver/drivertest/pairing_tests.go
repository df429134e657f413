package drivertest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/driver"
)

func testPairByQR(t *testing.T, s *suite) {
	phone := s.phone(Account{Name: "Grace"})
	id := NewID()
	if _, ok, err := s.driver().Account(t.Context(), id); ok || err != nil {
		t.Fatalf("an instance that was never linked has an account: %v, %v", ok, err)
	}
	o := s.pair(driver.PairParams{Common: driver.Common{Instance: id, DeviceName: "Suite"}})
	code := await[instance.CodeIssued](o.recorder)
	if code.Text == "" || !code.Expires.After(code.Issued) || code.Expires.Before(time.Now()) {
		t.Fatalf("the first code lives from %v to %v with %d characters", code.Issued, code.Expires, len(code.Text))
	}
	s.must(s.Messenger.Scan(t.Context(), phone, code.Text))
	s.finishLink(o, id, phone)
	s.devices(phone, 1)
	if account, _, _ := s.d.Account(t.Context(), id); account.Name != "Grace" {
		t.Error("the account has not the name that its owner gave it")
	}
}

func testCodesAreRefreshed(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	s.must(s.Messenger.QuickCodes(t.Context(), 0))
	defer func() { s.must(s.Messenger.NormalCodes(t.Context())) }()
	id := NewID()
	o := s.pair(driver.PairParams{Common: driver.Common{Instance: id}})
	seen := map[string]bool{}
	var last instance.CodeIssued
	for range 3 {
		code := await[instance.CodeIssued](o.recorder)
		if seen[code.Text] {
			t.Fatal("a code came twice")
		}
		if code.Issued.Before(last.Issued) || !code.Expires.After(last.Expires) {
			t.Fatal("codes are out of order")
		}
		seen[code.Text], last = true, code
	}
	s.must(s.Messenger.NormalCodes(t.Context()))
	// The code that comes next has its normal life: that is the one to scan.
	for last = await[instance.CodeIssued](o.recorder); time.Until(last.Expires) < 5*time.Second; {
		last = await[instance.CodeIssued](o.recorder)
	}
	s.must(s.Messenger.Scan(t.Context(), phone, last.Text))
	s.finishLink(o, id, phone)
}

func testCodesRunOut(t *testing.T, s *suite) {
	s.must(s.Messenger.QuickCodes(t.Context(), 2))
	defer func() { s.must(s.Messenger.NormalCodes(t.Context())) }()
	o := s.pair(driver.PairParams{Common: driver.Common{Instance: NewID()}})
	await[instance.CodeIssued](o.recorder)
	await[instance.CodeIssued](o.recorder)
	s.closedWith(o, instance.ReasonQRTimeout)
}

func testPairByCode(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	id := NewID()
	o := s.pair(driver.PairParams{Common: driver.Common{Instance: id}, Method: instance.MethodCode, Phone: phone})
	code := await[instance.PairingCodeIssued](o.recorder, instance.CodeIssued{})
	if len(code.Code) != 8 || code.Phone != phone || !code.Expires.After(time.Now()) {
		t.Fatalf("a pairing code of %d characters, for the phone: %v, until %v", len(code.Code), code.Phone == phone, code.Expires)
	}
	s.must(s.Messenger.EnterCode(t.Context(), phone, code.Code))
	s.finishLink(o, id, phone)
	s.devices(phone, 1)
}

// The code stays the same while it lives, and the QR is live beside it.
func testPairingCodeLives(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	p := driver.PairParams{Common: driver.Common{Instance: NewID()}, Method: instance.MethodCode, Phone: phone}
	first := s.pair(p)
	code := await[instance.PairingCodeIssued](first.recorder, instance.CodeIssued{})
	first.end()
	second := s.pair(p)
	again := await[instance.PairingCodeIssued](second.recorder, instance.CodeIssued{})
	if same := again.Code == code.Code; same != s.Features.PairingCodeOutlives {
		t.Errorf("asked again after its session, the pairing code is the same: %v", same)
	}
	second.end()

	id := NewID()
	p.Instance = id
	o := s.pair(p)
	qr := await[instance.CodeIssued](o.recorder, instance.PairingCodeIssued{})
	s.must(s.Messenger.Scan(t.Context(), phone, qr.Text))
	s.finishLink(o, id, phone)
}

func testPairingCodeWithoutPhone(t *testing.T, s *suite) {
	o := s.pair(driver.PairParams{Common: driver.Common{Instance: NewID()}, Method: instance.MethodCode})
	s.closedWith(o, instance.ReasonPairingRefused)
}

func testWrongPhone(t *testing.T, s *suite) {
	phone, other := s.phone(Account{}), s.phone(Account{})
	id := NewID()
	o := s.pair(driver.PairParams{Common: driver.Common{Instance: id}, ExpectPhone: phone})
	code := await[instance.CodeIssued](o.recorder)
	// Whether the phone sees its link refused or undone is the messenger's business.
	_ = s.Messenger.Scan(t.Context(), other, code.Text)
	c := await[instance.Closed](o.recorder, append(codes, instance.Scanned{})...)
	if c.Reason != instance.ReasonWrongPhone {
		t.Fatalf("closed with %s, want wrong_phone", c.Reason)
	}
	s.devices(other, 0)
	if _, ok, err := s.d.Account(t.Context(), id); ok || err != nil {
		t.Fatalf("keys of the wrong phone are kept: %v, %v", ok, err)
	}
}

func testExpectedPhone(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	id := NewID()
	o := s.pair(driver.PairParams{Common: driver.Common{Instance: id}, ExpectPhone: phone})
	s.must(s.Messenger.Scan(t.Context(), phone, await[instance.CodeIssued](o.recorder).Text))
	s.finishLink(o, id, phone)
}

func testTwoAtOnce(t *testing.T, s *suite) {
	phones := []string{s.phone(Account{}), s.phone(Account{})}
	ids := []instance.ID{NewID(), NewID()}
	var opened []*open
	for _, id := range ids {
		opened = append(opened, s.pair(driver.PairParams{Common: driver.Common{Instance: id}}))
	}
	texts := []string{await[instance.CodeIssued](opened[0].recorder).Text, await[instance.CodeIssued](opened[1].recorder).Text}
	if texts[0] == texts[1] {
		t.Fatal("two sessions show the same code")
	}
	errs := make([]error, len(phones))
	var wg sync.WaitGroup
	for i := range phones {
		wg.Go(func() { errs[i] = s.Messenger.Scan(t.Context(), phones[i], texts[i]) })
	}
	wg.Wait()
	s.must(errors.Join(errs...))
	for i, o := range opened {
		s.finishLink(o, ids[i], phones[i])
	}
	s.must(s.Messenger.Drop(t.Context(), phones[0]))
	s.closedWith(opened[0], instance.ReasonConnectionClosed)
	if n, want := opened[1].count(), opened[1].next; n != want {
		t.Errorf("what happened to one session reached the other: %s", opened[1].names())
	}
}

// An instance that is linked anew leaves no second device behind on a phone that it has keys for.
func testPairAgain(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	id, o := s.link(phone)
	first, _, _ := s.d.Account(t.Context(), id)
	o.end()
	again := s.pair(driver.PairParams{Common: driver.Common{Instance: id}})
	s.must(s.Messenger.Scan(t.Context(), phone, await[instance.CodeIssued](again.recorder).Text))
	s.finishLink(again, id, phone)
	if second, _, _ := s.d.Account(t.Context(), id); second.ID == first.ID {
		t.Error("the keys of the earlier link are still there")
	}
}

func testPassword(t *testing.T, s *suite) {
	const right = "correct horse"
	phone := s.phone(Account{Password: right})
	id := NewID()
	o := s.pair(driver.PairParams{Common: driver.Common{Instance: id}})
	taker, ok := o.Session.(driver.PasswordTaker)
	if !ok {
		t.Fatal("the session is no driver.PasswordTaker")
	}
	code := await[instance.CodeIssued](o.recorder)
	if err := taker.SubmitPassword(t.Context(), right); !errors.Is(err, driver.ErrNotAsked) {
		t.Fatalf("a password that nobody asked for: %v, want ErrNotAsked", err)
	}
	s.must(s.Messenger.Scan(t.Context(), phone, code.Text))
	if await[instance.PasswordNeeded](o.recorder, codes...).Wrong {
		t.Fatal("wrong before any was given")
	}
	s.must(taker.SubmitPassword(t.Context(), "wrong"))
	if !await[instance.PasswordNeeded](o.recorder).Wrong {
		t.Fatal("a wrong password is not called wrong")
	}
	s.devices(phone, 0)
	s.must(taker.SubmitPassword(t.Context(), right))
	s.finishLink(o, id, phone)
	s.devices(phone, 1)
}

func testPasskey(t *testing.T, s *suite) {
	phone := s.phone(Account{Passkey: true})
	id := NewID()
	o := s.pair(driver.PairParams{Common: driver.Common{Instance: id}})
	taker, ok := o.Session.(driver.PasskeyTaker)
	if !ok {
		t.Fatal("the session is no driver.PasskeyTaker")
	}
	code := await[instance.CodeIssued](o.recorder)
	if err := taker.ConfirmPasskey(t.Context()); !errors.Is(err, driver.ErrNotAsked) {
		t.Fatalf("a confirmation that nobody asked for: %v, want ErrNotAsked", err)
	}
	s.must(s.Messenger.Scan(t.Context(), phone, code.Text))
	asked := await[instance.PasskeyNeeded](o.recorder, codes...).Challenge
	if asked.Options == "" || !asked.Expires.After(time.Now()) {
		t.Fatal("a challenge without options or life")
	}
	response, err := s.Messenger.PasskeyAnswer(asked.Options)
	s.must(err)
	s.must(taker.SubmitPasskey(t.Context(), response))
	if await[instance.PasskeyNeeded](o.recorder).Challenge.Confirmation == "" {
		t.Fatal("the messenger accepted the answer without a comparison")
	}
	s.must(taker.ConfirmPasskey(t.Context()))
	s.finishLink(o, id, phone)
}
