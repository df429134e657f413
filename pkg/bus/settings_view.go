package bus

import (
	"time"

	"go.uber.org/zap"

	pb "pairgate.dev/proto/pairgate/v1"
)

// SettingsView holds what an operator has set at run time for all instances.
type SettingsView struct{ follower *Follower[*pb.Settings] }

func newSettingsView(conn *Conn, log *zap.Logger) *SettingsView {
	return &SettingsView{Follow(conn, FollowOptions[*pb.Settings]{
		Bucket: BucketSettings,
		Keys:   []string{SettingsKey},
		Decode: func(_ string, data []byte) (*pb.Settings, error) {
			s := new(pb.Settings)
			return s, DecodeJSON(data, s)
		},
		Log: log,
	})}
}

// Get returns what is set; nothing when nobody has set anything.
func (v *SettingsView) Get() *pb.Settings {
	if s, _, ok := v.follower.Get(SettingsKey); ok {
		return s
	}
	return &pb.Settings{}
}

// Subscribe calls fn for every change, with what is set then; see Follower.
func (v *SettingsView) Subscribe(fn func(*pb.Settings)) (cancel func()) {
	return v.follower.Subscribe(func(c Change[*pb.Settings]) {
		if c.Deleted {
			c.Value = &pb.Settings{}
		}
		fn(c.Value)
	})
}

// Ready is closed once it is known what is set.
func (v *SettingsView) Ready() <-chan struct{} { return v.follower.Ready() }

// SilentFor is that of Follower.
func (v *SettingsView) SilentFor() time.Duration { return v.follower.SilentFor() }
