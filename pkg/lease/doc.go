// Package lease decides which worker owns which partition, and makes the server
// refuse what anybody else writes. This comment is its design.
//
// # Roles
//
// A group is a kind of worker, a stream and a number of partitions: the session
// workers own 256 partitions of EVENTS, the dispatchers 256 partitions of lanes
// in DELIVERIES, and a role with exactly one owner is a group of one partition.
// There is no coordinator. Each worker of a group
//
//   - keeps one lease, the key w.<kind>.<worker id> of the bucket WORKERS, whose
//     age limit is the TTL. Its value holds the nonce of this tenure; a worker
//     that lost its lease comes back with another nonce;
//   - claims partitions by compare-and-set on their owner records, one literal
//     subject each in the stream that is to be fenced. The record names the worker
//     and the nonce. Its stream sequence is the epoch of the ownership;
//   - writes through the Writer of a partition, which makes every write conditional
//     on the owner record still being the one at the epoch;
//   - computes, from the live leases alone, who should own each partition
//     (rendezvous hashing, weighted by capacity), and claims what is its own to claim.
//
// An owner is alive while its lease is there with the nonce of the record.
//
// # Safety
//
// What is stored by a Writer was stored while its owner record was the last one:
// the server compares the sequence when it stores. A worker that was stopped for
// an hour and wakes up in the middle of a write is refused; it needs no clock and
// no good will for that. It follows that the accepted writes of two epochs of a
// partition never interleave, and that epochs grow.
//
// The outside world is not fenced by the stream, so a worker also stops by itself:
// three quarters of a TTL after it sent the last renewal that succeeded, measured
// on its monotonic clock, every partition is Lost and its handler is told, a
// quarter of a TTL before the server lets the lease expire. (The clock runs on while a
// process is stopped, but the process acts on it only once it goes on; and it does not
// run while a machine is suspended. Then only the server's fence holds, and a session
// may exist twice for a moment.) It claims again under a
// new nonce only after the handler has been told of every loss.
//
// Nobody takes a partition from a live owner. The owner is dead when its lease is
// gone, read from the leader of WORKERS right before the claim. A lease goes by
// expiry, by graceful release, or because another worker proved its holder dead:
// two pings of the holder's micro service answered "no responders", at least
// Config.RevokeAfter apart, without a renewal in between, seen by somebody who has
// himself been connected for a full TTL. Then the lease is deleted by
// compare-and-set. A time-out proves nothing: a frozen process and a slow network
// look like that.
//
// A compare-and-set that timed out may have succeeded. It is read back from the
// leader and decided by nonce, never guessed.
//
// Partitions move only among workers with one key store, and a worker with another
// one does not start: it could not log in any session that it would take.
//
// # Liveness
//
//   - Released partitions and those without a record are claimed at once.
//   - Partitions of a killed worker are claimed about RevokeAfter plus one ping after
//     its death, those of a frozen one after its lease expired (TTL, and up to a third
//     of a second more).
//   - A worker that comes back takes what was its own at once: its own earlier tenure
//     always, an earlier process only when Config.ReclaimOwn says that a lock proves it
//     dead.
//   - After a cold start a lease that was never seen counts as dead only when we have
//     been connected for a full TTL, and after a reconnection nothing foreign is taken for
//     as long: when a whole cluster was down, every lease has expired, and their holders
//     are about to come back.
//   - Voluntary moves even out the load: the owner releases a partition that belongs to
//     another lease, which is not draining and was known for Config.MoveAge, a bounded
//     number per second.
//   - Take-overs are bounded per second, to spare the messengers a storm of logins.
//   - Readers follow leases and owner records by their own consumers and may be late.
//     That delays decisions; it never makes a wrong one, because compare-and-set decides.
//
// A take-over is a round: all partitions of the moment are claimed concurrently, then
// the handler is told once, with a barrier: the highest sequence claimed. Whoever has
// read the stream up to the barrier has read everything that the former owners stored;
// see ReadBarrier.
//
// # What is not guaranteed
//
//   - At every moment an owner. Between the death of an owner and the claim nobody owns.
//   - That a live worker works. A worker that renews its lease and does nothing else keeps
//     its partitions.
//   - Exactly one session at the messenger. See safety.
//   - Delivery exactly once beyond the stream's window of duplicates. A write whose answer
//     was lost is sent again with its id; when it could not be sent for longer than the
//     window, it may be stored twice, under the same epoch.
package lease
