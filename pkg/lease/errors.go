package lease

import (
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
)

// Why a partition is lost, or a call refused. Errors of this package wrap one of
// these, so errors.Is decides.
var (
	// ErrLost: another worker owns the partition now. The server said so by refusing a
	// write; nothing of that write is stored.
	ErrLost = errors.New("lease: the partition is owned by another worker")
	// ErrReleased: the partition is given up on purpose, by Release or to even out the
	// load. While Handler.Lost runs with it, the Writer still works.
	ErrReleased = errors.New("lease: the partition is being released")
	// ErrFenced: the lease could not be renewed for three quarters of its TTL.
	ErrFenced = errors.New("lease: the lease could not be renewed in time")
	// ErrRevoked: the lease was deleted or taken over by somebody else.
	ErrRevoked = errors.New("lease: the lease was revoked")
	// ErrClosed: the manager was closed.
	ErrClosed = errors.New("lease: closed")
	// ErrKeyStoreMismatch: a live lease of the same kind has another key store.
	ErrKeyStoreMismatch = errors.New("lease: another worker of this kind uses another key store")
	// ErrConfig: the configuration, or the stream or bucket it names, cannot work.
	ErrConfig = errors.New("lease: bad configuration")
	// ErrNoMessageID: a fenced write without Nats-Msg-Id could not be retried.
	ErrNoMessageID = errors.New("lease: the message has no Nats-Msg-Id")
)

// Server error codes that mean "not now" and are not in package bus: the cluster
// elects, or the stream's leader is not ready to check an expectation.
const (
	codeNotAvailable     jetstream.ErrorCode = 10008
	codeNotLeader        jetstream.ErrorCode = 10009
	codeStreamOffline    jetstream.ErrorCode = 10118
	codeExpectedNotReady jetstream.ErrorCode = 10163
	codeMessageNotFound  jetstream.ErrorCode = 10037
)

// isRetryable says whether a write that failed with err is to be sent again as it was.
func isRetryable(err error) bool {
	if ae, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch ae.ErrorCode {
		case codeNotAvailable, codeNotLeader, codeStreamOffline, codeExpectedNotReady:
			return true
		}
	}
	return bus.IsRetryable(err)
}
