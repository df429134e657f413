package lease

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
)

// stored is the last message of a subject.
type stored struct {
	sequence uint64
	data     []byte
	// deleted says that it is the marker of a key that was deleted or expired.
	deleted bool
}

// last reads the last message of a literal subject from the stream's leader,
// whatever the stream allows its replicas to answer. Without one the sequence is 0.
func last(ctx context.Context, conn *bus.Conn, stream, subject string) (stored, error) {
	req, err := json.Marshal(map[string]string{"last_by_subj": subject})
	if err != nil {
		return stored{}, err
	}
	prefix := conn.JetStream().Options().APIPrefix
	if prefix == "" {
		prefix = jetstream.DefaultAPIPrefix
	}
	msg, err := conn.NATS().RequestWithContext(ctx, prefix+"STREAM.MSG.GET."+stream, req)
	if err != nil {
		return stored{}, err
	}
	var rep struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Sequence uint64 `json:"seq"`
			Header   []byte `json:"hdrs"`
			Data     []byte `json:"data"`
		} `json:"message"`
	}
	switch err := json.Unmarshal(msg.Data, &rep); {
	case err != nil:
		return stored{}, fmt.Errorf("reading %s: %w", subject, err)
	case rep.Error != nil && rep.Error.ErrorCode == codeMessageNotFound:
		return stored{}, nil
	case rep.Error != nil:
		return stored{}, rep.Error
	case rep.Message == nil:
		return stored{}, fmt.Errorf("reading %s: empty answer", subject)
	}
	s := stored{sequence: rep.Message.Sequence, data: rep.Message.Data}
	if len(rep.Message.Header) > 0 {
		h, err := nats.DecodeHeadersMsg(rep.Message.Header)
		if err != nil {
			return stored{}, fmt.Errorf("reading %s: %w", subject, err)
		}
		s.deleted = deletes(h)
	}
	return s, nil
}

// deletes says whether the message with these headers takes a key away: a
// deletion, or the server's marker of an expiry.
func deletes(h nats.Header) bool {
	return h.Get(bus.HeaderKVOperation) != "" || h.Get(bus.HeaderMarkerReason) != ""
}
