package lab

import (
	"net"
	"net/netip"
	"strconv"

	"pairgate.dev/pkg/instance"
)

// DefaultControlAddr is where people expect the control API.
const DefaultControlAddr = "127.0.0.1:7700"

// Config is what a lab is made of.
type Config struct {
	// SimulatedAddr is where the simulated messenger listens: host:port, where host
	// is localhost or a loopback address and port 0 picks a free one. Empty is 127.0.0.1:0.
	SimulatedAddr string
	// WhatsAppAddr is where the emulated WhatsApp listens, in the same form. Empty is 127.0.0.1:0.
	WhatsAppAddr string
	// WhatsAppTLS makes the emulated WhatsApp speak TLS, as web.whatsapp.com, for
	// clients that a proxy leads there.
	WhatsAppTLS bool
	// ControlAddr is where the control API listens, in the same form. Empty is DefaultControlAddr.
	ControlAddr string
	// DataDir holds accounts and linked devices; it is made (mode 0700) where there
	// is none, and one lab at a time may use it.
	DataDir string
}

// Addrs are the addresses that were picked, host:port.
type Addrs struct {
	// Simulated is what PAIRGATE_SIMULATED_ENDPOINT is to be.
	Simulated string
	// WhatsApp and WhatsAppNoiseRoot, base64 of 32 bytes, are what
	// PAIRGATE_WHATSAPP_ENDPOINT and PAIRGATE_WHATSAPP_NOISE_ROOT are to be. The root is
	// the same in every lab, since a process of WhatsApp clients can trust one only.
	WhatsApp          string
	WhatsAppNoiseRoot string
	// WhatsAppAuthority is the certificate, PEM, of the authority that clients with TLS
	// are to trust, in every lab another; empty without Config.WhatsAppTLS.
	WhatsAppAuthority string
	// Control is where the control API answers: http://Control/.
	Control string
}

func (c Config) withDefaults() Config {
	if c.SimulatedAddr == "" {
		c.SimulatedAddr = "127.0.0.1:0"
	}
	if c.WhatsAppAddr == "" {
		c.WhatsAppAddr = "127.0.0.1:0"
	}
	if c.ControlAddr == "" {
		c.ControlAddr = DefaultControlAddr
	}
	return c
}

// Validate returns nil or a *instance.Problem that names every bad field.
func (c Config) Validate() error {
	c = c.withDefaults()
	var bad instance.FieldErrors
	for field, addr := range map[string]string{"SimulatedAddr": c.SimulatedAddr, "WhatsAppAddr": c.WhatsAppAddr, "ControlAddr": c.ControlAddr} {
		if !loopback(addr) {
			bad.Add(field, "must be host:port on a loopback address; the lab is for this machine only")
		}
	}
	if c.DataDir == "" {
		bad.Add("DataDir", "must name a directory")
	}
	return bad.Err()
}

func loopback(addr string) bool {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
