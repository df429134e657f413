// Package bus is Pairgate's use of NATS: connecting with our defaults, every
// name of a subject, stream, bucket and key, the declaration of all streams and
// buckets, typed requests and services, the encoding of events, and following
// what is stored.
//
// Guarantees:
//   - Subjects, streams, buckets, keys and durables have one home, names.go, and
//     one declaration, declare.go; nothing else in the program spells them.
//   - Nothing reads from a replica: direct reads are off wherever a decision is
//     made on what was read.
//   - Requests of users are decoded strictly, and every bad field is named at
//     once; events, replies and stored records are decoded leniently, so that a
//     newer peer can add fields.
//   - Errors reach callers as *instance.Problem; what is not a problem is logged
//     and hidden.
//
// It does not guarantee that a publish that timed out was not stored: writers
// give each message an id and send it again as it was.
package bus
