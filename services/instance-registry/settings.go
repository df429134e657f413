package registry

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/services/instance-registry/internal/store"

	pb "pairgate.dev/proto/pairgate/v1"
)

func (r *registry) getSettings(ctx context.Context, _ *pb.GetSettingsRequest) (*pb.GetSettingsReply, error) {
	s, _, err := r.loadSettings(ctx)
	return &pb.GetSettingsReply{Settings: s}, err
}

// updateSettings changes what an operator sets for all instances at run time.
func (r *registry) updateSettings(ctx context.Context, req *pb.UpdateSettingsRequest) (*pb.UpdateSettingsReply, error) {
	for {
		s, revision, err := r.loadSettings(ctx)
		if err != nil {
			return nil, err
		}
		if req.WhatsappVersion == nil || req.GetWhatsappVersion() == s.GetWhatsappVersion() {
			return &pb.UpdateSettingsReply{Settings: s}, nil
		}
		s.WhatsappVersion, s.UpdatedAt = req.GetWhatsappVersion(), r.timestamp()
		body, err := bus.EncodeJSON(s)
		if err != nil {
			return nil, fmt.Errorf("settings: %w", err)
		}
		_, err = r.settings.Put(ctx, bus.SettingsKey, body, revision)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, err
		}
		r.logOf(ctx).Info("settings updated", zap.String("whatsapp_version", s.GetWhatsappVersion()))
		return &pb.UpdateSettingsReply{Settings: s}, nil
	}
}

func (r *registry) loadSettings(ctx context.Context) (*pb.Settings, uint64, error) {
	cell, err := r.settings.Get(ctx, bus.SettingsKey)
	s := &pb.Settings{}
	if err == nil && cell.Present {
		err = bus.DecodeJSON(cell.Value, s)
	}
	return s, cell.Revision, err
}
