// Package lanes delivers what is owed. It owns partitions of DELIVERIES, reads
// them, asks the lane machine what to try next, tries it, and writes down what
// came of it.
//
// The stream is the truth: it holds exactly what is still owed, and deleting a
// message is what makes a delivery done. Nothing else survives a crash, and
// nothing else is needed: a new owner reads its partitions from their beginning.
// What was in flight at the crash is sent again, with the same webhook-id;
// an attempt that the log of attempts knows as delivered is not.
package lanes

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/format"
	"pairgate.dev/services/webhook-dispatcher/internal/fresh"
	"pairgate.dev/services/webhook-dispatcher/internal/lane"
	"pairgate.dev/services/webhook-dispatcher/internal/sender"
)

// Endpoints is what the lanes have to know of endpoints; *bus.EndpointView is one.
type Endpoints interface {
	Get(webhookID string) (rec *pb.EndpointRecord, revision uint64, ok bool)
	WaitRevision(ctx context.Context, revision uint64) error
	Subscribe(fn func(bus.EndpointChange)) (cancel func())
}

// Options of New; all are required except Metrics.
type Options struct {
	Conn      *bus.Conn
	Endpoints Endpoints
	Formats   format.Formats
	Ring      *seal.Ring
	Sender    *sender.Sender
	Fresh     fresh.Reader
	Lanes     lane.Config
	// DrainTimeout is how long attempts in flight may take to end when a partition is released.
	DrainTimeout time.Duration
	Log          *zap.Logger
	Metrics      prometheus.Registerer
}

// troublePause is the pause of a lane after a failure of our own.
const troublePause = 2 * time.Second

// partition is one ownership.
type partition struct {
	number  instance.Partition
	barrier uint64
	// ctx ends when nothing may act for the partition any more.
	ctx    context.Context
	cancel context.CancelFunc
	// inflight counts attempts; guarded by the runner's mutex, idle is closed when
	// it falls to zero while leaving.
	inflight int
	leaving  bool
	idle     chan struct{}
	feed     *laneFeed
}
