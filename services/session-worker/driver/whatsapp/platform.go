package whatsapp

import (
	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
)

// platform is the browser that a device claims to be. The phone shows its picture
// beside the device's name, and WhatsApp refuses a pairing code for an unusual one.
type platform struct {
	device  waCompanionReg.DeviceProps_PlatformType
	qr      whatsmeow.PairClientType
	display string
}

// DefaultPlatform is the platform of a driver that was given none.
const DefaultPlatform = "chrome"

var platforms = map[string]platform{
	"chrome":  {waCompanionReg.DeviceProps_CHROME, whatsmeow.PairClientChrome, "Chrome (Linux)"},
	"firefox": {waCompanionReg.DeviceProps_FIREFOX, whatsmeow.PairClientFirefox, "Firefox (Linux)"},
	"edge":    {waCompanionReg.DeviceProps_EDGE, whatsmeow.PairClientEdge, "Edge (Windows)"},
	"opera":   {waCompanionReg.DeviceProps_OPERA, whatsmeow.PairClientOpera, "Opera (Linux)"},
	"safari":  {waCompanionReg.DeviceProps_SAFARI, whatsmeow.PairClientSafari, "Safari (Mac OS)"},
}
