package bus

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Error codes of the server's JetStream API that we decide on. The library's
// sentinel errors merge several of them, so the code is what counts.
const (
	codeReplicasNotSupported jetstream.ErrorCode = 10074
	codeStorageExceeded      jetstream.ErrorCode = 10047
	codeMemoryExceeded       jetstream.ErrorCode = 10028
	codeInvalidConfig        jetstream.ErrorCode = 10052
	codeStale                jetstream.ErrorCode = 10071
	codeDuplicateInFlight    jetstream.ErrorCode = 10158
	codeWriteInFlight        jetstream.ErrorCode = 10164
	codeStoreFailed          jetstream.ErrorCode = 10077
)

// IsStale says whether the server refused a conditional write because the
// expected sequence or revision is no longer the last one (10071). For a fenced
// write it means that the partition is lost.
func IsStale(err error) bool { return apiErrorCode(err) == codeStale }

// IsWriteInFlight says whether the server refused a fenced write because another
// one with the same fence is in flight (10164, only with replicas). Nothing was
// stored and nothing is known about ownership: send the same message again.
func IsWriteInFlight(err error) bool { return apiErrorCode(err) == codeWriteInFlight }

// IsDuplicateInFlight says whether the server refused a message because one with
// the same id is in flight (10158, only with replicas): send it again to learn
// what became of it.
func IsDuplicateInFlight(err error) bool { return apiErrorCode(err) == codeDuplicateInFlight }

// IsStreamFull says whether the server refused a message because the stream has
// reached its size; nothing was stored, and it may work later.
func IsStreamFull(err error) bool {
	return apiErrorCode(err) == codeStoreFailed || apiErrorCode(err) == codeStorageExceeded
}

// IsUnknownOutcome says whether err leaves open if the write was stored: a
// time-out, a lost connection, or no answer. Send the same message, with the same
// id, again, or read back; never assume either outcome.
func IsUnknownOutcome(err error) bool {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrNoResponders),
		errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrDisconnected),
		errors.Is(err, nats.ErrConnectionReconnecting), errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrConnectionDraining), errors.Is(err, nats.ErrReconnectBufExceeded):
		return true
	}
	return false
}

// IsRetryable says whether a fenced write that failed with err is to be sent
// again as the same message: in flight, or of unknown outcome.
func IsRetryable(err error) bool {
	return IsWriteInFlight(err) || IsDuplicateInFlight(err) || IsUnknownOutcome(err)
}

// apiErrorCode returns the server's code in err, or 0.
func apiErrorCode(err error) jetstream.ErrorCode {
	if ae, ok := errors.AsType[*jetstream.APIError](err); ok {
		return ae.ErrorCode
	}
	// Sentinels such as ErrKeyExists carry the server's error inside.
	if je, ok := errors.AsType[jetstream.JetStreamError](err); ok {
		if ae := je.APIError(); ae != nil {
			return ae.ErrorCode
		}
	}
	return 0
}
