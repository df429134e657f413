package sender

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"syscall"

	"code.dny.dev/ssrf"
)

// ErrBlockedAddress is what a dial ends with when the address is one that
// webhooks must not reach. It does not say which, because the text could end
// up in front of the person who probes.
var ErrBlockedAddress = errors.New("the address is private, local or reserved and not in PAIRGATE_WEBHOOK_ALLOW")

// Guard decides which addresses may be dialled. It is asked with the concrete
// address of every single dial, after name resolution, so that a name that
// changes its mind between check and use gains nothing.
type Guard struct {
	allow  []netip.Prefix
	public *ssrf.Guardian
	// allowedOnly refuses even public addresses outside allow: for plain http.
	allowedOnly bool
}

// azureWire answers with a virtual machine's credentials although its address is public.
var azureWire = netip.MustParsePrefix("168.63.129.16/32")

// NewGuard blocks every special range of the IANA registries and the address
// of Azure's host service, except inside allow.
func NewGuard(allow []netip.Prefix) *Guard {
	return &Guard{
		allow:  slices.Clone(allow),
		public: ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(azureWire)),
	}
}

// AllowedOnly returns a guard that lets through nothing but the allowed networks.
func (g *Guard) AllowedOnly() *Guard {
	return &Guard{allow: g.allow, public: g.public, allowedOnly: true}
}

// Check returns ErrBlockedAddress unless addr may be dialled.
func (g *Guard) Check(addr netip.Addr) error {
	plain := addr.Unmap()
	if slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(plain) }) {
		return nil
	}
	if g.allowedOnly || addr.Zone() != "" || g.public.SafeAddr(addr) != nil || g.public.SafeAddr(plain) != nil {
		return ErrBlockedAddress
	}
	return nil
}

// Control is for net.Dialer.ControlContext.
func (g *Guard) Control(_ context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return ErrBlockedAddress
	}
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return ErrBlockedAddress
	}
	return g.Check(target.Addr())
}
