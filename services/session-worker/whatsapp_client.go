package worker

import (
	"errors"
	"slices"
	"strings"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/internal/clientversion"
)

// WhatsAppClient is what WhatsApp and the phones take us for. The names that
// Evolution API has for the same are read where ours are absent.
type WhatsAppClient struct {
	// Version is the client version that comes before what is found, but after what is set at run time.
	Version clientversion.Version `env:"PAIRGATE_WHATSAPP_VERSION" alias:"CONFIG_SESSION_PHONE_VERSION" desc:"Client version shown to WhatsApp, such as 2.3000.1047769893; when absent, the one that WhatsApp Web is at, looked up every few hours, or the built-in one if that is newer. What pairgate.v1.settings.update has set comes before it." want:"2.3000.<number>; every other form, 1.x included, is retired; the current number is client_revision in the page source of https://web.whatsapp.com"`
	// Name is what phones list when an instance sets no name of its own.
	Name DeviceName `env:"PAIRGATE_WHATSAPP_CLIENT" alias:"CONFIG_SESSION_PHONE_CLIENT" envDefault:"Pairgate" desc:"Name in the phone's list of linked devices, for instances that set none." want:"a name of 1 to 50 characters without control characters"`
	// Browser is what a linked device claims to be.
	Browser Browser `env:"PAIRGATE_WHATSAPP_BROWSER" alias:"CONFIG_SESSION_PHONE_NAME" envDefault:"chrome" desc:"Browser that linked devices claim to be: chrome, edge, firefox, opera or safari." want:"chrome, edge, firefox, opera or safari"`
}

// DeviceName is a name in the phone's list of linked devices.
type DeviceName string

// UnmarshalText accepts what an instance may be given as its device name, white
// space around it cut off, except none at all.
func (n *DeviceName) UnmarshalText(text []byte) error {
	var f instance.FieldErrors
	name := instance.CheckDeviceName(&f, "name", string(text))
	if len(f) > 0 || name == "" {
		return errors.New("not the name of a device")
	}
	*n = DeviceName(name)
	return nil
}

// Browser is one of those that WhatsApp knows, in lower case.
type Browser string

var browsers = []Browser{"chrome", "edge", "firefox", "opera", "safari"}

// UnmarshalText accepts the names of browsers however they are written.
func (b *Browser) UnmarshalText(text []byte) error {
	name := Browser(strings.ToLower(string(text)))
	if !slices.Contains(browsers, name) {
		return errors.New("not a browser that WhatsApp knows")
	}
	*b = name
	return nil
}
