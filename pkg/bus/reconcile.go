package bus

import (
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// reconcile compares what the server has with what is declared, and returns the
// configuration to apply: the server's, with those settings of the declaration
// whose change loses nothing. It is pure, so that each rule can be tested.
func reconcile(have, want jetstream.StreamConfig) (next jetstream.StreamConfig, diffs []Difference) {
	next = have
	note := func(setting string, declared, server any, apply bool) bool {
		diffs = append(diffs, Difference{Stream: want.Name, Setting: setting,
			Declared: fmt.Sprint(declared), Server: fmt.Sprint(server), Applied: apply})
		return apply
	}

	// Subjects may be added; one that is gone from the declaration stays, with its messages.
	if !sameSet(have.Subjects, want.Subjects) {
		added := missing(have.Subjects, want.Subjects)
		if note("subjects", want.Subjects, have.Subjects, len(added) > 0) {
			next.Subjects = append(slices.Clone(have.Subjects), added...)
		}
	}
	// Limits may be raised. To lower one throws messages away.
	if raise(note, "max_bytes", have.MaxBytes, want.MaxBytes) {
		next.MaxBytes = want.MaxBytes
	}
	if raise(note, "max_msgs", have.MaxMsgs, want.MaxMsgs) {
		next.MaxMsgs = want.MaxMsgs
	}
	if raise(note, "max_msgs_per_subject", have.MaxMsgsPerSubject, want.MaxMsgsPerSubject) {
		next.MaxMsgsPerSubject = want.MaxMsgsPerSubject
	}
	if raise(note, "max_age", have.MaxAge, want.MaxAge) {
		next.MaxAge = want.MaxAge
	}
	if raise(note, "max_msg_size", have.MaxMsgSize, want.MaxMsgSize) {
		next.MaxMsgSize = want.MaxMsgSize
	}
	if raise(note, "max_consumers", have.MaxConsumers, want.MaxConsumers) {
		next.MaxConsumers = want.MaxConsumers
	}
	if have.Replicas != want.Replicas && note("replicas", want.Replicas, have.Replicas, want.Replicas > have.Replicas) {
		next.Replicas = want.Replicas
	}
	// A longer window remembers more; it may not exceed MaxAge.
	if have.Duplicates != want.Duplicates {
		fits := next.MaxAge == 0 || want.Duplicates <= next.MaxAge
		if note("duplicate_window", want.Duplicates, have.Duplicates, want.Duplicates > have.Duplicates && fits) {
			next.Duplicates = want.Duplicates
		}
	}
	// Refusing new messages never loses old ones; the other direction does.
	if have.Discard != want.Discard && note("discard", want.Discard, have.Discard, want.Discard == jetstream.DiscardNew) {
		next.Discard = want.Discard
	}
	// Once allowed, message TTLs cannot be forbidden again.
	if have.AllowMsgTTL != want.AllowMsgTTL && note("allow_msg_ttl", want.AllowMsgTTL, have.AllowMsgTTL, want.AllowMsgTTL) {
		next.AllowMsgTTL = true
	}
	if have.SubjectDeleteMarkerTTL != want.SubjectDeleteMarkerTTL {
		apply := want.SubjectDeleteMarkerTTL > 0
		if note("subject_delete_marker_ttl", want.SubjectDeleteMarkerTTL, have.SubjectDeleteMarkerTTL, apply) {
			next.SubjectDeleteMarkerTTL = want.SubjectDeleteMarkerTTL
		}
	}
	if have.AllowDirect != want.AllowDirect {
		note("allow_direct", want.AllowDirect, have.AllowDirect, true)
		next.AllowDirect = want.AllowDirect
	}
	if have.AllowRollup != want.AllowRollup && note("allow_rollup", want.AllowRollup, have.AllowRollup, want.AllowRollup) {
		next.AllowRollup = true
	}
	if !sameRePublish(have.RePublish, want.RePublish) {
		note("republish", republishText(want.RePublish), republishText(have.RePublish), true)
		next.RePublish = want.RePublish
	}
	if have.Description != want.Description {
		note("description", want.Description, have.Description, true)
		next.Description = want.Description
	}
	// What the server cannot change in place, or only by losing messages.
	if have.Retention != want.Retention {
		note("retention", want.Retention, have.Retention, false)
	}
	if have.Storage != want.Storage {
		note("storage", want.Storage, have.Storage, false)
	}
	if have.DenyDelete != want.DenyDelete {
		note("deny_delete", want.DenyDelete, have.DenyDelete, false)
	}
	return next, diffs
}

// raise notes a limit that differs and says whether to apply it. Zero and
// negative mean no limit.
func raise[T int | int32 | int64 | time.Duration](note func(string, any, any, bool) bool, setting string, have, want T) bool {
	if have == want || have <= 0 && want <= 0 {
		return false
	}
	return note(setting, want, have, want <= 0 || have > 0 && want > have)
}

func sameSet(a, b []string) bool { return len(missing(a, b)) == 0 && len(missing(b, a)) == 0 }

// missing returns what is in b and not in a.
func missing(a, b []string) []string {
	var out []string
	for _, s := range b {
		if !slices.Contains(a, s) {
			out = append(out, s)
		}
	}
	return out
}

func sameRePublish(a, b *jetstream.RePublish) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func republishText(r *jetstream.RePublish) string {
	if r == nil {
		return "none"
	}
	return r.Source + " to " + r.Destination
}
