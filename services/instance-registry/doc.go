// Package registry is the service that alone writes what is wanted: which
// instances there are, how they are set up, what was asked of them last, and
// which webhooks hear of it.
//
// It keeps nothing in memory that it needs: every decision is a conditional
// write to a bucket, so any number of replicas may run, and be killed, at once.
//
//   - A name, a number and a token are claimed by a key of their own before the
//     record that uses them is written, and freed after the record that no
//     longer does. What a crash leaves claimed, the sweeper frees: it first makes
//     the interrupted write impossible, and then frees the claim.
//   - Commands are counted. Each connect, logout, restart and delete adds one to
//     the record's request number; workers say in every status which number they
//     have taken into account.
//   - A deletion is a record that says so, with everything that its event needs.
//     The record, the events and the webhooks of the instance are removed a day
//     after its last event; its number is never given again.
//   - The events created, updated and deleted are derived from the records by a
//     durable consumer. Deriving them again gives the same events, and none twice.
//
// Not guaranteed: that a request which ended in a time-out was not carried out.
// Creations take an Idempotency-Key for that; the other commands may be repeated.
package registry
