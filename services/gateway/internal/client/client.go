// Package client is what every face of the gateway uses of the rest of Pairgate:
// typed requests to the registry and the renderer, and answers from the followed
// buckets and streams.
//
// Guarantees: what a view does not have is asked of the registry before it is
// called unknown, and for a second after that it is not asked again; who wrote
// through a client reads his write through the same client; codes and pictures of
// earlier attempts are never returned.
package client

import (
	"context"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

const (
	// maxSilence is how long the follower of the instances may be silent before
	// the registry is asked in its place.
	maxSilence = 2 * time.Second
	// negativeTTL is how long an answer of "unknown" is believed.
	negativeTTL = time.Second
	// negativeSize bounds the unknown refs, and the unknown tokens, that are remembered.
	negativeSize = 10_000
	// readyTimeout is how long a request waits for the views of a process that just started.
	readyTimeout = 5 * time.Second
	// ownWriteTimeout is how long a writer waits to see its own write.
	ownWriteTimeout = 2 * time.Second
)

// Client is shared by all requests of a gateway.
type Client struct {
	conn  *bus.Conn
	views *bus.Views
	log   *zap.Logger

	unknownRefs, unknownTokens *recent
	touched                    *recent
	// histories has a place for each reader of a history.
	histories chan struct{}
}

// New makes a client on the connection and views of the process.
func New(conn *bus.Conn, views *bus.Views, log *zap.Logger) *Client {
	return &Client{conn: conn, views: views, log: log,
		unknownRefs:   newRecent(negativeTTL, negativeSize),
		unknownTokens: newRecent(negativeTTL, negativeSize),
		touched:       newRecent(touchInterval, maxTouched),
		histories:     make(chan struct{}, maxHistories)}
}

// Start begins to follow, so that the first request finds the views filled.
func (c *Client) Start() {
	c.views.Instances.Ready()
	c.views.Sessions.Ready()
	c.views.Events.Ready()
	c.views.Endpoints.Ready()
}

// Ready returns nil once instances, statuses and webhooks are held. Just after a start it
// waits a moment for them; then the error is a problem with CodeUnavailable.
func (c *Client) Ready(ctx context.Context) error {
	timer := time.NewTimer(readyTimeout)
	defer timer.Stop()
	for _, ready := range []<-chan struct{}{c.views.Instances.Ready(), c.views.Sessions.Ready(), c.views.Endpoints.Ready()} {
		select {
		case <-ready:
			continue
		default:
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return &instance.Problem{Code: instance.CodeUnavailable, RetryAfter: 1,
				Detail: "The gateway has just started and is still reading what there is."}
		}
	}
	return nil
}

// Views are what the process follows.
func (c *Client) Views() *bus.Views { return c.views }

// fresh says whether the view of the instances may be trusted.
func (c *Client) fresh() bool { return c.views.Instances.SilentFor() < maxSilence }

// Request is bus.Request on the client's connection.
func (c *Client) Request(ctx context.Context, subject string, req, rep proto.Message) error {
	return bus.Request(ctx, c.conn, subject, req, rep)
}

// Checked sends a request that a face has decoded, bad being what it found wrong
// with it. When that is something, the request is not carried out, and the problem
// names the bad fields that the service finds as well. rename gives the service's
// paths the names that the face has for them, nil for the same.
func (c *Client) Checked(ctx context.Context, subject string, bad instance.FieldErrors, rename func(string) string, req, rep proto.Message) error {
	if len(bad) == 0 {
		return renamed(c.Request(ctx, subject, req, rep), rename)
	}
	more, err := bus.Validate(ctx, c.conn, subject, req)
	if err != nil {
		// What is known to be wrong is wrong without the service, too.
		return bad.Err()
	}
	return bus.MergeFieldErrors(bad, renameFields(more, rename)).Err()
}

func renamed(err error, rename func(string) string) error {
	if err == nil || rename == nil {
		return err
	}
	p := *instance.AsProblem(err)
	if len(p.Errors) == 0 {
		return err
	}
	p.Errors = renameFields(p.Errors, rename)
	return &p
}

func renameFields(fields []instance.FieldError, rename func(string) string) instance.FieldErrors {
	out := make(instance.FieldErrors, len(fields))
	for i, f := range fields {
		if rename != nil {
			f.Field = rename(f.Field)
		}
		out[i] = f
	}
	return out
}
