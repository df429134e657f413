package bus

import (
	"strings"

	"pairgate.dev/pkg/instance"
)

// What EVENTS, INSTANCES, WORKERS and ENDPOINTS store is published again by the
// server on core NATS, within a millisecond or two of being stored, with the
// headers of the stream: Nats-Stream, Nats-Subject, Nats-Sequence,
// Nats-Last-Sequence (of the same subject) and Nats-Time-Stamp. The subjects
// are those of LiveSubject. Core NATS loses messages while a client is away, so
// a follower repairs what it hears by reading the stream.

// Headers of a message that the server has published again.
const (
	// HeaderStream names the stream.
	HeaderStream = "Nats-Stream"
	// HeaderSubject is the subject under which the message is stored.
	HeaderSubject = "Nats-Subject"
	// HeaderSequence is the message's sequence in the stream; in a bucket, its revision.
	HeaderSequence = "Nats-Sequence"
	// HeaderLastSequence is the sequence of the message before it on the same subject; 0 for the first.
	HeaderLastSequence = "Nats-Last-Sequence"
	// HeaderTime is when the message was stored, in RFC 3339.
	HeaderTime = "Nats-Time-Stamp"
	// HeaderMarkerReason is set on markers that the server wrote itself, such as "MaxAge" for an expired lease.
	HeaderMarkerReason = "Nats-Marker-Reason"
	// HeaderKVOperation is "DEL" or "PURGE" on the deletion of a key.
	HeaderKVOperation = "KV-Operation"
)

// LiveEvents is what the server publishes again of EVENTS: events and owner records.
const LiveEvents = liveV1 + ">"

// LiveSubject returns the core subject on which the server publishes again what
// is stored on the given subject of a stream or bucket: pairgate.v1.X becomes
// pairgate.live.v1.X, and $KV.B.K becomes pairgate.live.kv.B.K. Wildcards are
// kept. Any other subject is returned as it is.
func LiveSubject(stored string) string {
	if rest, ok := strings.CutPrefix(stored, prefix); ok {
		return liveV1 + rest
	}
	if rest, ok := strings.CutPrefix(stored, kvPrefix); ok {
		return liveKV + rest
	}
	return stored
}

// StoredSubject undoes LiveSubject; a subject that is not live is returned as it is.
func StoredSubject(s string) string {
	if rest, ok := strings.CutPrefix(s, liveV1); ok {
		return prefix + rest
	}
	if rest, ok := strings.CutPrefix(s, liveKV); ok {
		return kvPrefix + rest
	}
	return s
}

// LiveQueueSubject returns the core subject on which the server tells, without the
// body, that a notification was added to the instance's queue in QUEUE.
func LiveQueueSubject(id instance.ID) string { return livePrefix + "queue." + string(id) }

// LiveBucket returns the core subject of everything published again from a bucket.
func LiveBucket(bucket string) string { return liveKV + bucket + ".>" }

// BucketStream returns the name of the stream that is the bucket.
func BucketStream(bucket string) string { return "KV_" + bucket }

// BucketSubject returns the subject on which the key of the bucket is stored.
func BucketSubject(bucket, key string) string { return kvPrefix + bucket + "." + key }

// ParseBucketSubject undoes BucketSubject; it also accepts the live form.
func ParseBucketSubject(s string) (bucket, key string, ok bool) {
	rest, found := strings.CutPrefix(StoredSubject(s), kvPrefix)
	if !found {
		return "", "", false
	}
	bucket, key, found = strings.Cut(rest, ".")
	return bucket, key, found && bucket != "" && key != ""
}
