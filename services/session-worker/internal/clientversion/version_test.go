package clientversion_test

import (
	"testing"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/internal/clientversion"
)

func FuzzVersion(f *testing.F) {
	for _, text := range []string{"", "2.3000.1047769893", "1.2.3", "2.2413.1", "2.3000.", "2.3000.01", "2.3000.4294967296", "2.3000.1 "} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := clientversion.Version("before")
		err := v.UnmarshalText([]byte(text))
		switch {
		case err != nil && (v != "before" || err.Error() != instance.WhatsAppVersionForm):
			t.Errorf("%q: %q, %v", text, v, err)
		case err == nil && string(v) != text:
			t.Errorf("%q became %q", text, v)
		}
	})
}
