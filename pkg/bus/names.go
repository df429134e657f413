package bus

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"pairgate.dev/pkg/instance"
)

// Streams. Their settings are in the declaration.
const (
	// StreamEvents holds events and the owner records of their partitions.
	StreamEvents = "EVENTS"
	// StreamQueue holds the notifications that GREEN-API callers pull, one literal subject for each instance.
	StreamQueue = "QUEUE"
	// StreamDeliveries holds exactly the webhook deliveries that are still owed, and the owner records of their lanes and of roles.
	StreamDeliveries = "DELIVERIES"
	// StreamAttempts holds what was tried of each delivery.
	StreamAttempts = "ATTEMPTS"
	// StreamDeadLetters holds the deliveries that were given up.
	StreamDeadLetters = "DEADLETTERS"
)

// Key-value buckets. A bucket B is the stream KV_B on the subjects $KV.B.>.
const (
	// BucketInstances holds the wishes: one record for each instance, and the index keys of names, numbers and tokens.
	BucketInstances = "INSTANCES"
	// BucketIdempotency holds the answers to creations for 24 hours.
	BucketIdempotency = "IDEMPOTENCY"
	// BucketWorkers holds one lease for each live worker or dispatcher.
	BucketWorkers = "WORKERS"
	// BucketVault holds sealed small credentials of sessions.
	BucketVault = "VAULT"
	// BucketEndpoints holds the webhook endpoints.
	BucketEndpoints = "ENDPOINTS"
	// BucketSettings holds what an operator changes at run time.
	BucketSettings = "SETTINGS"
)

// Durable consumers. Two members of one durable deliver out of order, so the order
// of what is made from it must be protected by a condition on each write, or one
// message at a time.
const (
	// DurableLifecycle is on KV_INSTANCES: the registry derives created, updated and deleted from it.
	DurableLifecycle = "registry-lifecycle"
	// DurableRenderer is on EVENTS: the renderer reads codes from it.
	DurableRenderer = "qr-renderer"
)

// Roles that have exactly one owner at a time, claimed by a record on RoleSubject.
const (
	// RoleRouter turns events into owed deliveries.
	RoleRouter = "webhook-router"
	// RoleProjector turns events into GREEN-API notifications.
	RoleProjector = "queue-projector"
)

// The first tokens of every subject of version 1, and of what the server
// publishes again from it.
const (
	prefix     = "pairgate.v1."
	livePrefix = "pairgate.live."
	liveV1     = livePrefix + "v1."
	liveKV     = livePrefix + "kv."
	kvPrefix   = "$KV."

	prefixEvents     = prefix + "events."
	prefixOwners     = prefix + "owners."
	prefixSessions   = prefix + "sessions."
	prefixDeliveries = prefix + "deliveries."
	prefixLaneOwners = prefix + "lane-owners."
	prefixRoles      = prefix + "roles."
	prefixQueue      = prefix + "queue."
	prefixQueueOwner = prefix + "queue-owners."
	prefixAttempts   = prefix + "attempts."
	prefixDead       = prefix + "dead-letters."
)

// Wildcards for readers that filter. Never use one as the subject of a fence: a
// replicated server then lets stale writes in.
const (
	// AllEvents is every event of every instance.
	AllEvents = prefixEvents + ">"
	// AllOwners is every owner record in EVENTS.
	AllOwners = prefixOwners + "*"
	// AllDeliveries is every delivery still owed.
	AllDeliveries = prefixDeliveries + ">"
	// AllLaneOwners is every owner record of lanes in DELIVERIES.
	AllLaneOwners = prefixLaneOwners + "*"
	// AllRoles is every record of a role's owner in DELIVERIES.
	AllRoles = prefixRoles + "*"
	// AllQueued is every GREEN-API notification not fetched and deleted yet.
	AllQueued = prefixQueue + "*"
	// AllAttempts is every attempt of a delivery.
	AllAttempts = prefixAttempts + ">"
	// AllDeadLetters is every delivery given up.
	AllDeadLetters = prefixDead + ">"
)

// Verbs of SessionSubject, served by the owner of the instance's partition.
const (
	// VerbPassword hands over the account's password; request and reply.
	VerbPassword = "password"
	// VerbPasskey hands over an authenticator's answer; request and reply.
	VerbPasskey = "passkey"
	// VerbTouch extends an open pairing window; no reply.
	VerbTouch = "touch"
	// VerbPresence shows the linked account as available or not; request and reply.
	VerbPresence = "presence"
)

// EventSubject returns pairgate.v1.events.<id>.<kind>, in EVENTS.
func EventSubject(id instance.ID, k instance.Kind) string {
	return prefixEvents + string(id) + "." + string(k)
}

// EventsOf returns the filter for all events of one instance.
func EventsOf(id instance.ID) string { return prefixEvents + string(id) + ".*" }

// EventsOfKind returns the filter for all events of one kind.
func EventsOfKind(k instance.Kind) string { return prefixEvents + "*." + string(k) }

// ParseEventSubject undoes EventSubject; it also accepts the live form of the
// subject. ok is false for any other subject, and for an id or kind that is not one.
func ParseEventSubject(s string) (id instance.ID, k instance.Kind, ok bool) {
	s = StoredSubject(s)
	rest, found := strings.CutPrefix(s, prefixEvents)
	if !found {
		return "", "", false
	}
	first, second, found := strings.Cut(rest, ".")
	if !found {
		return "", "", false
	}
	id, ok = instance.ParseID(first)
	k = instance.Kind(second)
	if !ok || string(id) != first || !k.Valid() {
		return "", "", false
	}
	return id, k, true
}

// OwnerSubject returns pairgate.v1.owners.<ppp>, in EVENTS: the record of who
// owns the partition. Its last sequence is the epoch that fences the owner's writes.
func OwnerSubject(p instance.Partition) string { return prefixOwners + p.String() }

// ParseOwnerSubject undoes OwnerSubject; it also accepts the live form.
func ParseOwnerSubject(s string) (instance.Partition, bool) {
	return parsePartitionSubject(s, prefixOwners)
}

// SessionSubject returns pairgate.v1.sessions.<ppp>.<id>.<verb>: core NATS, not
// stored, served by the owner of the partition. No responder means no owner.
func SessionSubject(p instance.Partition, id instance.ID, verb string) string {
	return prefixSessions + p.String() + "." + string(id) + "." + verb
}

// SessionsOf returns what the owner of a partition subscribes to: every verb of
// every instance in it, or one verb when verb is not empty.
func SessionsOf(p instance.Partition, verb string) string {
	if verb == "" {
		verb = "*"
	}
	return prefixSessions + p.String() + ".*." + verb
}

// ParseSessionSubject undoes SessionSubject. ok is false for a malformed
// subject and for an id that does not belong to the partition.
func ParseSessionSubject(s string) (p instance.Partition, id instance.ID, verb string, ok bool) {
	rest, found := strings.CutPrefix(s, prefixSessions)
	parts := strings.Split(rest, ".")
	if !found || len(parts) != 3 || parts[2] == "" {
		return 0, "", "", false
	}
	p, ok = parsePartition(parts[0])
	if !ok {
		return 0, "", "", false
	}
	id, ok = instance.ParseID(parts[1])
	if !ok || string(id) != parts[1] || id.Partition() != p {
		return 0, "", "", false
	}
	return p, id, parts[2], true
}

// LaneSubject returns pairgate.v1.deliveries.<ppp>.<endpoint>.<instance>, in
// DELIVERIES; the partition is that of the endpoint. It is literal for each
// lane, because that is what makes reading the next message of a lane cheap.
func LaneSubject(endpoint string, id instance.ID) string {
	return prefixDeliveries + instance.PartitionOf(endpoint).String() + "." + endpoint + "." + string(id)
}

// LanesOf returns the filter for all lanes of one partition.
func LanesOf(p instance.Partition) string { return prefixDeliveries + p.String() + ".>" }

// LanesOfEndpoint returns the filter for all lanes of one endpoint.
func LanesOfEndpoint(endpoint string) string {
	return prefixDeliveries + instance.PartitionOf(endpoint).String() + "." + endpoint + ".*"
}

// ParseLaneSubject undoes LaneSubject.
func ParseLaneSubject(s string) (endpoint string, id instance.ID, ok bool) {
	rest, found := strings.CutPrefix(s, prefixDeliveries)
	parts := strings.Split(rest, ".")
	if !found || len(parts) != 3 || parts[1] == "" {
		return "", "", false
	}
	if p, good := parsePartition(parts[0]); !good || p != instance.PartitionOf(parts[1]) {
		return "", "", false
	}
	id, ok = instance.ParseID(parts[2])
	if !ok || string(id) != parts[2] {
		return "", "", false
	}
	return parts[1], id, true
}

// LaneOwnerSubject returns pairgate.v1.lane-owners.<ppp>, in DELIVERIES.
func LaneOwnerSubject(p instance.Partition) string { return prefixLaneOwners + p.String() }

// ParseLaneOwnerSubject undoes LaneOwnerSubject.
func ParseLaneOwnerSubject(s string) (instance.Partition, bool) {
	return parsePartitionSubject(s, prefixLaneOwners)
}

// RoleSubject returns pairgate.v1.roles.<role>, in DELIVERIES.
func RoleSubject(role string) string { return prefixRoles + role }

// ParseRoleSubject undoes RoleSubject.
func ParseRoleSubject(s string) (role string, ok bool) {
	role, found := strings.CutPrefix(s, prefixRoles)
	return role, found && role != "" && !strings.ContainsAny(role, ".*> ")
}

// QueueOwnerSubject returns pairgate.v1.queue-owners.<role>, in QUEUE: the owner
// record that fences the writes of a role whose target is that stream.
func QueueOwnerSubject(role string) string { return prefixQueueOwner + role }

// QueueSubject returns pairgate.v1.queue.<id>, in QUEUE.
func QueueSubject(id instance.ID) string { return prefixQueue + string(id) }

// ParseQueueSubject undoes QueueSubject.
func ParseQueueSubject(s string) (instance.ID, bool) {
	rest, found := strings.CutPrefix(s, prefixQueue)
	if !found {
		return "", false
	}
	id, ok := instance.ParseID(rest)
	return id, ok && string(id) == rest
}

// AttemptSubject returns pairgate.v1.attempts.<endpoint>.<delivery>, in ATTEMPTS.
func AttemptSubject(endpoint, delivery string) string {
	return prefixAttempts + endpoint + "." + delivery
}

// AttemptsOf returns the filter for all attempts of one endpoint.
func AttemptsOf(endpoint string) string { return prefixAttempts + endpoint + ".*" }

// DeadLetterSubject returns pairgate.v1.dead-letters.<endpoint>.<instance>, in DEADLETTERS.
func DeadLetterSubject(endpoint string, id instance.ID) string {
	return prefixDead + endpoint + "." + string(id)
}

// DeadLettersOf returns the filter for everything given up of one endpoint.
func DeadLettersOf(endpoint string) string { return prefixDead + endpoint + ".*" }

func parsePartitionSubject(s, prefix string) (instance.Partition, bool) {
	rest, found := strings.CutPrefix(StoredSubject(s), prefix)
	if !found {
		return 0, false
	}
	return parsePartition(rest)
}

func parsePartition(s string) (instance.Partition, bool) {
	if len(s) != 3 {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n >= instance.Partitions || instance.Partition(n).String() != s {
		return 0, false
	}
	return instance.Partition(n), true
}

// hashHex returns the lower-case hex SHA-256 of s.
func hashHex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
