package service_test

import (
	"errors"
	"strings"
	"testing"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
)

func TestAnotherMasterKeyIsRefusedAtStart(t *testing.T) {
	conn := bustest.Conn(t, bustest.Server(t))
	first, second := seal.NewMasterKey(), seal.NewMasterKey()
	open := func(keys seal.Secret) error {
		_, err := service.OpenRing(t.Context(), conn, keys)
		return err
	}
	if err := open(""); !errors.Is(err, seal.ErrNoKey) {
		t.Fatalf("no key: %v", err)
	}
	for range 2 {
		if err := open(first); err != nil {
			t.Fatal(err)
		}
	}
	err := open(second)
	if !errors.Is(err, seal.ErrUnknownKey) || !strings.Contains(err.Error(), "PAIRGATE_MASTER_KEY") {
		t.Fatalf("another key: %v", err)
	}
	for _, key := range []seal.Secret{first, second} {
		if strings.Contains(err.Error(), key.Reveal()) {
			t.Fatal("the error holds a key")
		}
	}
	// A rotation: the new key in front, the old one behind, and later the new one alone.
	if err := open(second + "," + first); err != nil {
		t.Fatal(err)
	}
	if err := open(second); err != nil {
		t.Fatal(err)
	}
	if err := open(first); !errors.Is(err, seal.ErrUnknownKey) {
		t.Fatalf("the old key alone: %v", err)
	}
}
