package bus

import (
	"strconv"
	"strings"

	"pairgate.dev/pkg/instance"
)

// Key filters for watchers of a bucket.
const (
	// InstanceKeys is every instance record in INSTANCES.
	InstanceKeys = "i.>"
	// NameKeys is every name claim in INSTANCES.
	NameKeys = "name.*"
	// NumberKeys is every number claim in INSTANCES.
	NumberKeys = "number.*"
	// TokenKeys is every token claim in INSTANCES.
	TokenKeys = "token.>"
)

// SettingsKey is the key of what an operator changes at run time, in SETTINGS.
const SettingsKey = "settings"

// KeyCheckKey is the key of the text, in SETTINGS, by which a service finds out
// that its master key is another one than that of the deployment.
const KeyCheckKey = "key-check"

// InstanceKey returns i.<ppp>.<id>, the key of an instance's record in INSTANCES.
func InstanceKey(id instance.ID) string { return "i." + id.Partition().String() + "." + string(id) }

// ParseInstanceKey undoes InstanceKey. ok is false for other keys, and for an
// id that does not belong to the partition.
func ParseInstanceKey(key string) (instance.ID, bool) {
	parts := strings.Split(key, ".")
	if len(parts) != 3 || parts[0] != "i" {
		return "", false
	}
	id, ok := instance.ParseID(parts[2])
	if !ok || InstanceKey(id) != key {
		return "", false
	}
	return id, true
}

// NameKey returns name.<sha256 hex>, the claim of a name in INSTANCES. The hash
// is of the exact trimmed name: names are case-sensitive.
func NameKey(name string) string { return "name." + hashHex(strings.TrimSpace(name)) }

// NumberKey returns number.<n>, the claim of a number in INSTANCES. It is never deleted.
func NumberKey(n uint64) string { return "number." + strconv.FormatUint(n, 10) }

// ParseNumberKey undoes NumberKey.
func ParseNumberKey(key string) (uint64, bool) {
	rest, found := strings.CutPrefix(key, "number.")
	if !found {
		return 0, false
	}
	n, err := strconv.ParseUint(rest, 10, 64)
	return n, err == nil && NumberKey(n) == key
}

// TokenKey returns token.<hash>.<id>, the claim of a token in INSTANCES. hash is
// the lower-case hex SHA-256 of the token. Tokens may be shared, so the id is in
// the key.
func TokenKey(hash string, id instance.ID) string { return "token." + hash + "." + string(id) }

// TokenKeysOf returns the filter for all instances with one token.
func TokenKeysOf(hash string) string { return "token." + hash + ".*" }

// ParseTokenKey undoes TokenKey.
func ParseTokenKey(key string) (hash string, id instance.ID, ok bool) {
	parts := strings.Split(key, ".")
	if len(parts) != 3 || parts[0] != "token" || len(parts[1]) != 64 {
		return "", "", false
	}
	id, ok = instance.ParseID(parts[2])
	if !ok || string(id) != parts[2] {
		return "", "", false
	}
	return parts[1], id, true
}

// IdempotencyKey returns k.<sha256 hex>, the key of a creation in IDEMPOTENCY.
func IdempotencyKey(key string) string { return "k." + hashHex(key) }

// WorkerKey returns w.<kind>.<id>, the key of a lease in WORKERS. kind is the
// kind of worker, such as "session-worker"; neither may hold a dot.
func WorkerKey(kind, id string) string { return "w." + kind + "." + id }

// WorkerKeysOf returns the filter for all leases of one kind.
func WorkerKeysOf(kind string) string { return "w." + kind + ".*" }

// ParseWorkerKey undoes WorkerKey.
func ParseWorkerKey(key string) (kind, id string, ok bool) {
	parts := strings.Split(key, ".")
	if len(parts) != 3 || parts[0] != "w" || parts[1] == "" || parts[2] == "" {
		return "", "", false
	}
	return parts[1], parts[2], true
}

// VaultKey returns v.<ppp>.<id>, the key of an instance's sealed credentials in VAULT.
func VaultKey(id instance.ID) string { return "v." + id.Partition().String() + "." + string(id) }

// EndpointKey returns e.<webhook id>, the key of a webhook endpoint in ENDPOINTS.
func EndpointKey(webhookID string) string { return "e." + webhookID }

// ParseEndpointKey undoes EndpointKey.
func ParseEndpointKey(key string) (webhookID string, ok bool) {
	id, found := strings.CutPrefix(key, "e.")
	return id, found && id != "" && !strings.Contains(id, ".")
}
