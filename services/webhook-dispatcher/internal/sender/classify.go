package sender

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
)

// Error is the class of a failed attempt, from a closed list.
type Error string

// The classes of failure.
const (
	ErrorNone Error = ""
	// ErrorTimeout: the exchange did not end in time.
	ErrorTimeout Error = "timeout"
	// ErrorRefused: nobody listens there, or no way leads there.
	ErrorRefused Error = "refused"
	// ErrorDNS: the name has no address.
	ErrorDNS Error = "dns"
	// ErrorTLS: the handshake failed or the certificate is not trusted.
	ErrorTLS Error = "tls"
	// ErrorBlocked: the guard forbids the address.
	ErrorBlocked Error = "blocked_address"
	// ErrorRedirect: the answer was 3xx.
	ErrorRedirect Error = "redirect"
	// ErrorStatus: the answer was another status than 2xx.
	ErrorStatus Error = "status"
	// ErrorReset: the connection broke, or what came was not HTTP.
	ErrorReset Error = "reset"
	// ErrorInterrupted: this side stopped; nothing is known of the receiver.
	ErrorInterrupted Error = "interrupted"
)

// Errors lists every class of failure.
func Errors() []Error {
	return []Error{ErrorTimeout, ErrorRefused, ErrorDNS, ErrorTLS, ErrorBlocked, ErrorRedirect, ErrorStatus, ErrorReset, ErrorInterrupted}
}

func verdict(status int) Error {
	switch {
	case status >= 200 && status < 300:
		return ErrorNone
	case status >= 300 && status < 400:
		return ErrorRedirect
	default:
		return ErrorStatus
	}
}

// classify sorts by what the operator of the receiver would have to look at.
// The order matters: a time-out inside a handshake is a time-out.
func classify(err error) Error {
	if errors.Is(err, ErrBlockedAddress) {
		return ErrorBlocked
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsTimeout {
			return ErrorTimeout
		}
		return ErrorDNS
	}
	if isTimeout(err) {
		return ErrorTimeout
	}
	if isTLS(err) {
		return ErrorTLS
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return ErrorRefused
	}
	return ErrorReset
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) {
		return true
	}
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

func isTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	// net/http hides a plain-text answer to a handshake behind a text of its own,
	// and crypto/tls has no type for the refusal of a version.
	text := err.Error()
	return strings.Contains(text, "tls: ") || strings.Contains(text, "server gave HTTP response to HTTPS client")
}
