package clientversion

import (
	"errors"
	"strconv"
	"strings"

	"pairgate.dev/pkg/instance"
)

// Version is a client version of WhatsApp Web, "2.3000.<number>"; empty is none.
type Version string

// UnmarshalText accepts the one form that there is. Its error does not repeat
// the text.
func (v *Version) UnmarshalText(text []byte) error {
	var f instance.FieldErrors
	if instance.CheckWhatsAppVersion(&f, "version", string(text)); len(f) > 0 {
		return errors.New(instance.WhatsAppVersionForm)
	}
	*v = Version(text)
	return nil
}

// parse returns the version, which came from outside, if it has the right form.
func parse(text string) (v Version, err error) {
	err = v.UnmarshalText([]byte(text))
	return v, err
}

// newerThan compares the numbers; any version is newer than none.
func (v Version) newerThan(other Version) bool { return v.revision() > other.revision() }

func (v Version) revision() uint64 {
	_, number, _ := strings.Cut(string(v), ".3000.")
	n, _ := strconv.ParseUint(number, 10, 32) // 0, and with it older than any, for no version
	return n
}
