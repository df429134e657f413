package simulated

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// CheckEndpoint returns nil for host:port where host is localhost or a loopback
// address and port is 1 to 65535: the protocol is plain text and made for one machine.
func CheckEndpoint(endpoint string) error {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		return errors.New("simulated: the endpoint must be host:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("simulated: the port of the endpoint must be 1 to 65535")
	}
	if host == "localhost" {
		return nil
	}
	if addr, err := netip.ParseAddr(host); err != nil || !addr.IsLoopback() {
		return errors.New("simulated: the endpoint must be localhost or a loopback address")
	}
	return nil
}

// loopbackOnly refuses what localhost resolved to, should it not be this machine.
func loopbackOnly(_ context.Context, _, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil || !addr.Addr().IsLoopback() {
		return errors.New("simulated: not a loopback address")
	}
	return nil
}
