package instance

import (
	"net/netip"
	"strings"
)

// Proxy is a way by which an instance's session reaches its messenger.
type Proxy struct {
	// Protocol is "http", "https" or "socks5".
	Protocol, Host     string
	Port               uint32
	Username, Password string
}

// maxProxyCredential is the limit of SOCKS5 for user and password, in bytes.
const maxProxyCredential = 255

// CheckProxy checks a proxy whose fields are at prefix. The simulated provider
// takes none: it would be ignored, and nobody should believe that it is used.
func CheckProxy(f *FieldErrors, prefix string, p Proxy, provider Provider) Proxy {
	if provider == Simulated {
		f.Add(prefix, "the simulated provider uses no proxy; leave it out")
		return p
	}
	p.Host = strings.TrimSpace(p.Host)
	switch p.Protocol {
	case "http", "https", "socks5":
	default:
		f.Add(Path(prefix, "protocol"), `must be "http", "https" or "socks5"`)
	}
	if p.Host == "" {
		f.Add(Path(prefix, "host"), "is required")
	} else if !validHost(strings.Trim(p.Host, "[]")) {
		f.Add(Path(prefix, "host"), "must be a host name or an IP address, without port")
	}
	if p.Port < 1 || p.Port > 65535 {
		f.Add(Path(prefix, "port"), "must be 1 to 65535")
	}
	for _, c := range []struct{ field, value string }{{"username", p.Username}, {"password", p.Password}} {
		if len(c.value) > maxProxyCredential || hasControl(c.value) {
			f.Add(Path(prefix, c.field), "must have at most %d bytes and no control characters", maxProxyCredential)
		}
	}
	if p.Username == "" && p.Password != "" {
		f.Add(Path(prefix, "username"), "is required beside a password")
	}
	p.Host = strings.Trim(p.Host, "[]")
	return p
}

// validHost says whether host is an IP address without zone, or a DNS name
// that nothing could take for an address: some resolvers read "127.1" and
// "0x7f000001" as 127.0.0.1.
func validHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == ""
	}
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > 253 {
		return false
	}
	var last string
	for label := range strings.SplitSeq(host, ".") {
		if !validLabel(label) {
			return false
		}
		last = label
	}
	return !numeric(last)
}

func validLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		c := lower(label[i])
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

func numeric(label string) bool {
	if label, ok := strings.CutPrefix(strings.ToLower(label), "0x"); ok {
		return strings.Trim(label, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}
