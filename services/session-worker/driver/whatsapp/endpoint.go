package whatsapp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"

	"go.mau.fi/whatsmeow"
)

// CheckEndpoint returns nil for host:port where host is localhost or a loopback
// address and port is 1 to 65535. There is no TLS to an endpoint, so it must be on this machine.
func CheckEndpoint(endpoint string) error {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		return errors.New("whatsapp: the endpoint must be host:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("whatsapp: the port of the endpoint must be 1 to 65535")
	}
	if host == "localhost" {
		return nil
	}
	if addr, err := netip.ParseAddr(host); err != nil || !addr.IsLoopback() {
		return errors.New("whatsapp: the endpoint must be localhost or a loopback address")
	}
	return nil
}

// loopbackOnly refuses what localhost resolved to, should it not be this machine.
func loopbackOnly(_ context.Context, _, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil || !addr.Addr().IsLoopback() {
		return errors.New("whatsapp: not a loopback address")
	}
	return nil
}

// roots guards the library's one certificate root, a variable of its package.
var roots struct {
	sync.Mutex
	used bool
	root []byte
}

// useRoot makes root, nil for WhatsApp's own, the one that servers' certificates
// lead to. The library has one for the process, so a second, different root is an error.
func useRoot(root []byte) error {
	if root != nil && len(root) != len(whatsmeow.WACertPubKey) {
		return errors.New("whatsapp: the root of the certificates must be 32 bytes")
	}
	roots.Lock()
	defer roots.Unlock()
	if roots.used {
		if !bytes.Equal(roots.root, root) {
			return errors.New("whatsapp: this process already uses another root of certificates; use one for all drivers")
		}
		return nil
	}
	if root != nil {
		whatsmeow.WACertPubKey = [32]byte(root)
	}
	roots.used, roots.root = true, bytes.Clone(root)
	return nil
}
