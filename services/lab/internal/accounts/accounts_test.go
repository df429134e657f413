package accounts_test

import (
	"testing"
	"time"

	"pairgate.dev/services/lab/internal/accounts"
)

func open(t *testing.T, dir string) *accounts.Book {
	t.Helper()
	b, err := accounts.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSecretsOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	first, err := b.Secret("a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := b.Secret("b")
	if err != nil || other == first {
		t.Fatalf("two names have one secret, %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir)
	if again, err := b.Secret("a"); err != nil || again != first {
		t.Errorf("the secret is another one after a restart, %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// Decision: a number comes again only after all others have, and never while it is in use.
func TestNumbersOfWhatsAppDevices(t *testing.T) {
	b := open(t, t.TempDir())
	defer func() { _ = b.Close() }()
	if err := b.Add(accounts.Account{Provider: "whatsapp", Phone: "79001234567"}); err != nil {
		t.Fatal(err)
	}
	link := func(n uint16) {
		b.Link(accounts.Device{ID: time.Unix(int64(n), 0).String(), Phone: "79001234567", WhatsApp: &accounts.WhatsApp{Number: n}})
	}
	link(2)
	for _, want := range []uint16{1, 3, 4} {
		if got, ok := b.NextNumber("79001234567"); got != want || !ok {
			t.Fatalf("got %d, want %d", got, want)
		}
	}
	for range accounts.MaxNumber - 4 {
		_, _ = b.NextNumber("79001234567")
	}
	if got, ok := b.NextNumber("79001234567"); got != 1 || !ok {
		t.Errorf("after the last number comes %d", got)
	}
	for n := range uint16(accounts.MaxNumber) {
		link(n + 1)
	}
	if got, ok := b.NextNumber("79001234567"); ok {
		t.Errorf("got %d when all are in use", got)
	}
}
