package instance

import (
	"encoding/base64"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of webhooks, in bytes where not said otherwise.
const (
	MaxURLLength           = 2048
	MaxWebhookHeaders      = 20
	MaxHeaderNameLength    = 128
	MaxHeaderValueLength   = 4096
	WebhookSecretPrefix    = "whsec_"
	MinWebhookSecretLength = 24
	MaxWebhookSecretLength = 64
)

// Networks are the networks that webhooks may live in although they are
// private, and that plain http may be used in.
type Networks struct {
	Allow []netip.Prefix
	// Lookup resolves a host name, to tell whether it is inside Allow; nil, or
	// an empty answer, means that names other than localhost are not.
	Lookup func(host string) []netip.Addr
}

// Inside says whether host, an address or a name, is in the allowed networks:
// with every address that it has.
func (n Networks) Inside(host string) bool {
	if len(n.Allow) == 0 {
		return false
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return n.contains(addr)
	}
	if isLocalhost(host) {
		return n.contains(netip.AddrFrom4([4]byte{127, 0, 0, 1})) || n.contains(netip.IPv6Loopback())
	}
	if n.Lookup == nil {
		return false
	}
	addrs := n.Lookup(host)
	return len(addrs) > 0 && !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !n.contains(a) })
}

func (n Networks) contains(addr netip.Addr) bool {
	addr = addr.Unmap()
	return slices.ContainsFunc(n.Allow, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func isLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// CheckWebhookURL checks the URL of an endpoint: https, or http for a host
// inside the allowed networks; a host that is a DNS name or an address; no
// user, password, zone or fragment; at most MaxURLLength bytes. A private or
// local address is refused unless it is inside the allowed networks. What a
// name resolves to at the time of a delivery is the dispatcher's to check.
func CheckWebhookURL(f *FieldErrors, field, raw string, allowed Networks) {
	switch {
	case raw == "":
		f.Add(field, "is required")
		return
	case len(raw) > MaxURLLength:
		f.Add(field, "must have at most %d bytes", MaxURLLength)
		return
	case !utf8.ValidString(raw) || strings.ContainsFunc(raw, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }):
		f.Add(field, "must not contain white space or control characters")
		return
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.Scheme == "" {
		f.Add(field, `must be a URL such as "https://example.com/hook"`)
		return
	}
	host := u.Hostname()
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		f.Add(field, "must begin with https://")
	case host == "":
		f.Add(field, "must name a host")
	case u.User != nil:
		f.Add(field, "must not contain a user or password; use a header")
	case strings.Contains(raw, "#"):
		f.Add(field, "must not contain a fragment (#)")
	case strings.Contains(host, "%"):
		f.Add(field, "must not name a network interface (zone)")
	case !validHost(host):
		f.Add(field, "must name a host by a DNS name (international ones in their xn-- form) or an IP address")
	case !validPort(u):
		f.Add(field, "must have a port of 1 to 65535, or none")
	default:
		checkReach(f, field, u.Scheme, host, allowed)
	}
}

func checkReach(f *FieldErrors, field, scheme, host string, allowed Networks) {
	addr, err := netip.ParseAddr(host)
	local := isLocalhost(host) || err == nil && private(addr.Unmap())
	if !local && scheme == "https" || allowed.Inside(host) {
		return
	}
	if local {
		f.Add(field, "points to a private address; the operator may allow its network with PAIRGATE_WEBHOOK_ALLOW")
		return
	}
	f.Add(field, "must begin with https://; http:// is only for hosts in networks that the operator allows with PAIRGATE_WEBHOOK_ALLOW")
}

func private(a netip.Addr) bool {
	return a.IsLoopback() || a.IsPrivate() || a.IsUnspecified() || a.IsMulticast() ||
		a.IsLinkLocalUnicast() || carrierNAT.Contains(a) || thisNetwork.Contains(a)
}

var (
	carrierNAT  = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, 0}), 10)
	thisNetwork = netip.PrefixFrom(netip.AddrFrom4([4]byte{0, 0, 0, 0}), 8)
)

func validPort(u *url.URL) bool {
	port := u.Port()
	if port == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// CheckWebhookSecret checks a signing secret.
func CheckWebhookSecret(f *FieldErrors, field, secret string) {
	if _, ok := DecodeWebhookSecret(secret); !ok {
		f.Add(field, `must be "whsec_" and the base64 of %d to %d bytes; leave it out to have one made`, MinWebhookSecretLength, MaxWebhookSecretLength)
	}
}

// DecodeWebhookSecret returns the key that a secret stands for; padding may be
// left out. ok is false for what is not a secret.
func DecodeWebhookSecret(secret string) (key []byte, ok bool) {
	text, ok := strings.CutPrefix(secret, WebhookSecretPrefix)
	// The decoder itself would skip line breaks.
	if !ok || strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	key, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		key, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil || len(key) < MinWebhookSecretLength || len(key) > MaxWebhookSecretLength {
		return nil, false
	}
	return key, true
}

// EncodeWebhookSecret is the reverse of DecodeWebhookSecret.
func EncodeWebhookSecret(key []byte) string {
	return WebhookSecretPrefix + base64.StdEncoding.EncodeToString(key)
}

// CheckEventKinds checks a list of kinds, whose items are at field[i], and
// returns it sorted and without repetitions.
func CheckEventKinds(f *FieldErrors, field string, kinds []string) []string {
	for i, k := range kinds {
		if !Kind(k).Valid() {
			f.Add(field+"["+strconv.Itoa(i)+"]", "must be %s", oneOf(Kinds()))
		}
	}
	out := slices.Clone(kinds)
	slices.Sort(out)
	return slices.Compact(out)
}

// Formats lists every format of webhooks.
func Formats() []Format { return []Format{FormatNative, FormatGreenAPI, FormatEvolution} }

// Valid says whether f is a format of this version.
func (f Format) Valid() bool { return slices.Contains(Formats(), f) }

// CheckFormat checks the format of a webhook and replaces the empty one by FormatNative.
func CheckFormat(f *FieldErrors, field, format string) Format {
	if format == "" {
		return FormatNative
	}
	if !Format(format).Valid() {
		f.Add(field, "must be %s", oneOf(Formats()))
	}
	return Format(format)
}

// reservedHeaders are set by the dispatcher or by the connection.
var reservedHeaders = []string{"accept-encoding", "connection", "content-encoding", "content-length", "content-type",
	"date", "expect", "host", "keep-alive", "te", "traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade", "user-agent"}

// reservedHeaderPrefixes begin the names of headers that say what a delivery is.
var reservedHeaderPrefixes = []string{"webhook-", "ce-", "proxy-", "pairgate-"}

// CheckHeaders checks the headers that are to be sent with each delivery; each
// is at field.<name>, and names that differ only in case are one. A
// Content-Type that says JSON, as deliveries are anyway, is accepted and left
// out of what is returned; other reserved names are refused.
func CheckHeaders(f *FieldErrors, field string, headers map[string]string) map[string]string {
	if len(headers) > MaxWebhookHeaders {
		f.Add(field, "must have at most %d headers", MaxWebhookHeaders)
	}
	out := make(map[string]string, len(headers))
	seen := make(map[string]bool, len(headers))
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value, key, path := headers[name], strings.ToLower(name), Path(field, headerPath(name))
		switch {
		case !validHeaderName(name):
			f.Add(path, "is not a valid header name")
		case seen[key]:
			f.Add(path, "is given twice")
		case key == "content-type" && saysJSON(value):
		case reservedHeader(key):
			f.Add(path, "is set by Pairgate and can not be chosen")
		case len(value) > MaxHeaderValueLength:
			f.Add(path, "must have at most %d bytes", MaxHeaderValueLength)
		case !validHeaderValue(value):
			f.Add(path, "must not contain line breaks or control characters")
		default:
			out[name] = value
		}
		seen[key] = true
	}
	return out
}

func reservedHeader(key string) bool {
	return slices.Contains(reservedHeaders, key) ||
		slices.ContainsFunc(reservedHeaderPrefixes, func(p string) bool { return strings.HasPrefix(key, p) })
}

func saysJSON(value string) bool {
	kind, parameter, _ := strings.Cut(strings.ToLower(value), ";")
	parameter = strings.TrimSpace(parameter)
	return strings.TrimSpace(kind) == "application/json" && (parameter == "" || parameter == "charset=utf-8")
}

// headerPath is the name as a part of a JSON path; one that is not a name is not repeated.
func headerPath(name string) string {
	if validHeaderName(name) {
		return name
	}
	return "?"
}

func validHeaderName(name string) bool {
	if name == "" || len(name) > MaxHeaderNameLength {
		return false
	}
	for i := range len(name) {
		c := lower(name[i])
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return true
}

func validHeaderValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return utf8.ValidString(value)
}
