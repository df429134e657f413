package fresh

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// PairingCode returns the pairing code that was last published of the instance; nil for none.
func (s StreamReader) PairingCode(ctx context.Context, id instance.ID) (*pb.PairingCode, error) {
	last, err := s.Last(ctx, id, instance.KindPairingCode)
	return last.Event.GetPairingCode(), err
}

// Picture returns the picture that was last published of the instance; nil for none.
func (s StreamReader) Picture(ctx context.Context, id instance.ID) (*pb.Qr, error) {
	last, err := s.Last(ctx, id, instance.KindQR)
	return last.Event.GetQr(), err
}

// Account returns the account of the last status before the sequence that has one; nil
// when none of those that are kept, 64 at most, has. It reads all of them.
func (s StreamReader) Account(ctx context.Context, id instance.ID, before uint64) (*pb.Account, error) {
	var account *pb.Account
	for from := uint64(1); ; {
		m, err := s.Stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(bus.EventSubject(id, instance.KindStatus)))
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Sequence >= before {
			return account, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading earlier statuses: %w", err)
		}
		from = m.Sequence + 1
		ev, err := bus.DecodeRawEvent(m)
		if err != nil {
			continue // what cannot be read says nothing
		}
		if a := ev.GetStatus().GetAccount(); a != nil {
			account = a
		}
	}
}
