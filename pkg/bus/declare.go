package bus

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// CodeTTL is the server-side life of every message that carries a code or a
// picture. It is one constant, longer than the life of any code: with a life of
// its own, an older code would outlive a newer one and the last message of the
// subject would go back to it. The life that readers honour is expiresAt.
const CodeTTL = 300 * time.Second

// DedupWindow is how long EVENTS, QUEUE and DELIVERIES remember message ids. It
// is longer than the lease TTL of a cluster plus an election, so that a write
// that timed out can be sent again as it was.
const DedupWindow = 2 * time.Minute

// Lease TTLs by default: on one node, and where a server's election (4 to 9
// seconds) blocks renewals.
const (
	LeaseTTLSingle     = 5 * time.Second
	LeaseTTLReplicated = 20 * time.Second
)

// maxConsumers is explicit because servers since 2.15 limit a stream to 1000
// consumers when nothing is said. Every process needs a few at most.
const maxConsumers = 1024

// markerTTL is how long the server's marker of an expired lease stays.
const markerTTL = time.Minute

// keepForever is the MaxAge of what is never aged out.
const keepForever time.Duration = 0

const (
	kib = int64(1) << 10
	mib = kib << 10
	gib = mib << 10
)

// maxBytes are the default sizes: 3 GiB in all, so that a small disk does. They
// are ceilings, not reservations of disk space, but the server refuses a stream
// when their sum exceeds its store limit.
var maxBytes = map[string]int64{
	StreamEvents:      gib,
	StreamDeliveries:  512 * mib,
	StreamQueue:       256 * mib,
	StreamAttempts:    256 * mib,
	StreamDeadLetters: 256 * mib,
	BucketInstances:   512 * mib,
	BucketIdempotency: 64 * mib,
	BucketVault:       128 * mib,
	BucketEndpoints:   64 * mib,
	BucketWorkers:     16 * mib,
	BucketSettings:    8 * mib,
}

// DefaultMaxBytes returns the default size of a stream or bucket, 0 for a name that is not ours.
func DefaultMaxBytes(name string) int64 { return maxBytes[name] }

// Names lists every stream and bucket of the declaration, by the names that
// EnsureOptions.MaxBytes takes.
func Names() []string {
	return []string{StreamEvents, BucketInstances, BucketWorkers, BucketVault, BucketSettings, BucketIdempotency,
		BucketEndpoints, StreamQueue, StreamDeliveries, StreamAttempts, StreamDeadLetters}
}

// StreamOf returns the name of the stream that holds one of Names.
func StreamOf(name string) string {
	switch name {
	case StreamEvents, StreamQueue, StreamDeliveries, StreamAttempts, StreamDeadLetters:
		return name
	}
	return BucketStream(name)
}

// Declaration returns every stream and bucket as it should be. Buckets are
// declared as the streams that they are, because only so can direct reads be
// turned off and consumers be limited.
//
// Direct reads are off everywhere: replicas answer stale in 2 to 16 of 100 reads
// right after a write, and every one of these is read to decide something.
func Declaration(o EnsureOptions) []jetstream.StreamConfig {
	o = o.withDefaults()
	bucket := func(name, description string, history int64, ttl time.Duration) jetstream.StreamConfig {
		c := o.base(name, description)
		c.Name = BucketStream(name)
		c.Subjects = []string{BucketSubject(name, ">")}
		c.MaxMsgsPerSubject = history
		c.MaxAge = ttl
		c.Duplicates = DedupWindow
		if ttl > 0 {
			c.Duplicates = min(DedupWindow, ttl)
		}
		c.AllowRollup = true // purging a key is a roll-up
		c.DenyDelete = true
		return c
	}
	stream := func(name, description string, subjects ...string) jetstream.StreamConfig {
		c := o.base(name, description)
		c.Subjects = subjects
		c.Duplicates = DedupWindow
		return c
	}

	events := stream(StreamEvents, "What happens to sessions, and who owns their partitions", AllEvents, AllOwners)
	events.MaxAge = 7 * 24 * time.Hour
	events.MaxMsgsPerSubject = 64
	events.AllowMsgTTL = true
	events.RePublish = &jetstream.RePublish{Source: prefix + ">", Destination: LiveEvents}

	instances := bucket(BucketInstances, "What is wanted of each instance", 5, keepForever)
	instances.RePublish = republishBucket(BucketInstances)

	workers := bucket(BucketWorkers, "Leases of live workers and dispatchers", 1, o.LeaseTTL)
	workers.AllowMsgTTL = true
	workers.SubjectDeleteMarkerTTL = markerTTL
	workers.RePublish = republishBucket(BucketWorkers)

	endpoints := bucket(BucketEndpoints, "Webhook endpoints", 5, keepForever)
	endpoints.RePublish = republishBucket(BucketEndpoints)

	queue := stream(StreamQueue, "Notifications that GREEN-API callers pull", AllQueued, QueueOwnerSubject("*"))
	queue.MaxAge = 24 * time.Hour
	queue.AllowMsgTTL = true // for the owner's record and position, which must outlive MaxAge
	queue.AllowRollup = true // keeps the position to one message
	queue.MaxMsgsPerSubject = 10_000
	// Who waits for a notification is woken by it; it carries nothing but the fact.
	queue.RePublish = &jetstream.RePublish{Source: AllQueued, Destination: LiveQueueSubject("{{wildcard(1)}}"), HeadersOnly: true}

	// No message TTL and no limit per subject: a silent expiry would be a drop
	// that nobody recorded. Roll-up keeps owner records to one for each subject.
	deliveries := stream(StreamDeliveries, "Webhook deliveries still owed, and who owns their lanes",
		AllDeliveries, AllLaneOwners, AllRoles)
	deliveries.AllowRollup = true

	attempts := stream(StreamAttempts, "What was tried of webhook deliveries", AllAttempts)
	attempts.MaxAge = 72 * time.Hour
	attempts.MaxMsgsPerSubject = 32
	attempts.Discard = jetstream.DiscardOld // a log: the newest attempts matter

	dead := stream(StreamDeadLetters, "Webhook deliveries given up", AllDeadLetters)
	dead.MaxAge = 30 * 24 * time.Hour
	dead.Discard = jetstream.DiscardOld

	return []jetstream.StreamConfig{
		events,
		instances,
		workers,
		bucket(BucketVault, "Sealed small credentials of sessions", 1, keepForever),
		bucket(BucketSettings, "What an operator changes at run time", 5, keepForever),
		bucket(BucketIdempotency, "Answers to creations by Idempotency-Key", 1, 24*time.Hour),
		endpoints,
		queue,
		deliveries,
		attempts,
		dead,
	}
}

// base is what all have in common. A full stream refuses new messages: with the
// other policy it would throw away the owner records first.
func (o EnsureOptions) base(name, description string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              name,
		Description:       "Pairgate: " + description,
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardNew,
		MaxConsumers:      maxConsumers,
		MaxMsgs:           -1,
		MaxMsgsPerSubject: -1,
		MaxMsgSize:        -1,
		MaxBytes:          o.MaxBytes[name],
		Replicas:          o.Replicas,
	}
}

func republishBucket(bucket string) *jetstream.RePublish {
	return &jetstream.RePublish{Source: BucketSubject(bucket, ">"), Destination: LiveBucket(bucket)}
}
