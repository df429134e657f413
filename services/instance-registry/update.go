package registry

import (
	"context"
	"errors"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/services/instance-registry/internal/store"

	pb "pairgate.dev/proto/pairgate/v1"
)

// update changes what a user sets. Settings, but for the parts of imitated products
// in them, and proxy are replaced as a whole where they are given. An update that changes nothing writes nothing.
func (r *registry) update(ctx context.Context, req *pb.UpdateInstanceRequest) (*pb.UpdateInstanceReply, error) {
	found, err := r.resolve(ctx, req.GetRef())
	if err != nil {
		return nil, err
	}
	keys := moved{registry: r}
	rec, err := r.change(ctx, found.id(), func(ctx context.Context, rec record) error {
		before := proto.CloneOf(rec.InstanceRecord)
		if err := r.applyUpdate(rec, req); err != nil {
			return err
		}
		if proto.Equal(before, rec.InstanceRecord) {
			return errUnchanged
		}
		rec.Instance.SpecVersion++
		rec.Instance.UpdatedAt = r.timestamp()
		return keys.rename(ctx, rec, before.GetInstance().GetName())
	})
	keys.settle(ctx, err)
	if err != nil {
		return nil, err
	}
	r.see(ctx, rec.revision)
	r.logOf(ctx).Info("instance updated", zap.String("instance", string(rec.id())), zap.Uint64("spec_version", rec.GetInstance().GetSpecVersion()))
	return &pb.UpdateInstanceReply{Instance: r.shown(rec)}, nil
}

func (r *registry) applyUpdate(rec record, req *pb.UpdateInstanceRequest) error {
	var f instance.FieldErrors
	i := rec.Instance
	if req.Name != nil {
		i.Name = instance.CheckName(&f, "name", req.GetName())
	}
	if req.QrTimeout != nil {
		i.QrTimeout = instance.CheckQRTimeout(&f, "qrTimeout", req.GetQrTimeout())
	}
	if req.Phone != nil {
		i.Phone = optionalPhone(&f, "phone", req.GetPhone())
	}
	if req.GetSettings() != nil {
		i.Settings = merged(i.GetSettings(), settings(&f, req.GetSettings()))
	}
	switch p := req.GetProxy(); {
	case p == nil:
	case removesProxy(p):
		i.Proxy, rec.SealedProxyPassword = nil, nil
	default:
		checked, password := proxy(&f, p, instance.Provider(i.GetProvider()))
		if err := r.replaceProxy(rec, checked, password); err != nil {
			return err
		}
	}
	return f.Err()
}

// replaceProxy leaves a sealed password that is the same as it is: sealed anew
// it would look like a change.
func (r *registry) replaceProxy(rec record, p *pb.Proxy, password string) error {
	rec.Instance.Proxy = p
	if r.sameProxyPassword(rec, password) {
		return nil
	}
	var err error
	rec.SealedProxyPassword, err = r.sealProxyPassword(rec.id(), password)
	return err
}

func (r *registry) sameProxyPassword(rec record, password string) bool {
	if len(rec.GetSealedProxyPassword()) == 0 {
		return password == ""
	}
	before, err := r.ring.Open(rec.GetSealedProxyPassword(), seal.ForProxyPassword(string(rec.id())))
	return err == nil && seal.Equal(string(before), password)
}

// moved are the index keys that a change of a record takes and leaves. A key is
// taken, and written again at each attempt after the record was read, so that a
// sweeper who took it for left behind can not free it under the new record. What
// the old record used is noted at its revision before the record is written, so
// that somebody who takes it right afterwards keeps it.
type moved struct {
	*registry
	took, left store.Claim
	forID      instance.ID
}

// move takes the key to, for rec, and notes from as what rec leaves.
func (m *moved) move(ctx context.Context, rec record, from, to string) error {
	m.forID, m.left = rec.id(), store.Claim{}
	if from == to {
		return nil
	}
	took, err := store.Take(ctx, m.instances, to, rec.id())
	if err != nil {
		return err
	}
	m.took = took
	left, holder, ok, err := store.Look(ctx, m.instances, from)
	if ok && holder == rec.id() {
		m.left = left
	}
	return err
}

func (m *moved) rename(ctx context.Context, rec record, from string) error {
	name := rec.GetInstance().GetName()
	err := m.move(ctx, rec, bus.NameKey(from), bus.NameKey(name))
	if errors.Is(err, store.ErrTaken) {
		return errNameTaken
	}
	if err != nil || name == from {
		return err
	}
	return m.checkNameIsNoNumber(ctx, name, rec.GetInstance().GetNumber())
}

// settle frees what the change left, or, where it was refused, what it took.
// After a failure whose outcome is unknown, and when freeing fails, the sweeper does it.
func (m *moved) settle(ctx context.Context, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	var failed error
	switch {
	case err == nil && m.left.Key != "":
		failed = store.Free(ctx, m.instances, m.left)
	case err != nil && m.took.Key != "" && !errors.Is(err, store.ErrUnavailable):
		_, failed = m.freeOrphan(ctx, m.took.Key)
	}
	if failed != nil {
		m.log.Warn("a claim is left to the sweeper", zap.String("instance", string(m.forID)), zap.Error(failed))
	}
}
