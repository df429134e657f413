package sender_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"pairgate.dev/services/webhook-dispatcher/internal/sender"
)

func TestSpecialAddressesAreBlocked(t *testing.T) {
	g := sender.NewGuard(nil)
	for _, a := range []string{
		"127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200",
		"0.0.0.0", "192.0.0.192", "198.18.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1",
		"255.255.255.255", "168.63.129.16",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:168.63.129.16", "::127.0.0.1",
		"64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:1::1", "fd00:ec2::254", "fe80::1%eth0", "fe80::1",
		"fec0::1", "ff02::1", "2001:db8::1", "3fff::1", "5f00::1", "100::1",
	} {
		if err := g.Check(netip.MustParseAddr(a)); !errors.Is(err, sender.ErrBlockedAddress) {
			t.Errorf("%s: %v", a, err)
		}
	}
	for _, a := range []string{"8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4001::1"} {
		if err := g.Check(netip.MustParseAddr(a)); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestAllowedNetworksOpenTheirOwnAddressesOnly(t *testing.T) {
	g := sender.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fd00:1::/32")})
	for a, allowed := range map[string]bool{
		"127.0.0.1": true, "::ffff:127.0.0.1": true, "fd00:1::5": true, "fd00:2::5": false, "::1": false, "10.0.0.1": false, "8.8.8.8": true,
	} {
		if err := g.Check(netip.MustParseAddr(a)); (err == nil) != allowed {
			t.Errorf("%s: %v", a, err)
		}
	}
	if err := g.AllowedOnly().Check(netip.MustParseAddr("8.8.8.8")); err == nil {
		t.Error("plain http reaches a public address")
	}
	if err := g.AllowedOnly().Check(netip.MustParseAddr("127.0.0.1")); err != nil {
		t.Errorf("plain http does not reach an allowed address: %v", err)
	}
}

func TestControlRefusesWhatIsNoAddress(t *testing.T) {
	g := sender.NewGuard(nil)
	for _, c := range []struct{ network, address string }{
		{"udp4", "8.8.8.8:443"}, {"unix", "/run/x"}, {"tcp4", "example.com:443"}, {"tcp6", "[fe80::1%lo]:80"}, {"tcp4", ""},
	} {
		if err := g.Control(context.Background(), c.network, c.address, nil); err == nil {
			t.Errorf("%s %s is let through", c.network, c.address)
		}
	}
	if err := g.Control(context.Background(), "tcp4", "8.8.8.8:443", nil); err != nil {
		t.Error(err)
	}
}

func FuzzControl(f *testing.F) {
	f.Add("tcp4", "127.0.0.1:80")
	f.Add("tcp6", "[::ffff:10.0.0.1]:1")
	f.Fuzz(func(t *testing.T, network, address string) {
		g := sender.NewGuard(nil)
		if g.Control(context.Background(), network, address, nil) != nil {
			return
		}
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			t.Fatalf("%q is let through", address)
		}
		if a := ap.Addr().Unmap(); a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
			t.Fatalf("%q is let through", address)
		}
	})
}
