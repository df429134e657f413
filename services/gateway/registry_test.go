package gateway_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	pb "pairgate.dev/proto/pairgate/v1"
)

// fakeRegistry stores records as the registry does, and checks just enough.
type fakeRegistry struct {
	tb   testing.TB
	conn *bus.Conn
	kv   jetstream.KeyValue
	svc  *bus.Service

	mu       sync.Mutex
	records  map[string]*pb.InstanceRecord
	webhooks map[string]*pb.Webhook
	calls    map[string]int
	// last is the last request of each subject.
	last map[string]proto.Message
	// after is called once a command is stored.
	after func(id instance.ID, request uint64)
}

func startRegistry(tb testing.TB, conn *bus.Conn) *fakeRegistry {
	tb.Helper()
	kv, err := conn.KeyValue(tb.Context(), bus.BucketInstances)
	if err != nil {
		tb.Fatal(err)
	}
	f := &fakeRegistry{tb: tb, conn: conn, kv: kv, records: map[string]*pb.InstanceRecord{}, webhooks: map[string]*pb.Webhook{},
		calls: map[string]int{}, last: map[string]proto.Message{}}
	f.start()
	return f
}

func (f *fakeRegistry) start() {
	f.tb.Helper()
	svc, err := bus.NewService(f.conn, bus.ServiceConfig{Name: "instance-registry"})
	if err != nil {
		f.tb.Fatal(err)
	}
	f.svc = svc
	f.tb.Cleanup(func() { _ = svc.Stop(context.Background()) }) // stopped already in some tests
	for _, err := range []error{
		bus.Handle(svc, bus.SubjectInstancesCreate, f.create, bus.WithValidate(checkCreate)),
		bus.Handle(svc, bus.SubjectInstancesGet, f.get),
		bus.Handle(svc, bus.SubjectInstancesUpdate, f.update, bus.WithValidate(func(q *pb.UpdateInstanceRequest) (e instance.FieldErrors) {
			if q.Name != nil {
				instance.CheckName(&e, "name", q.GetName())
			}
			return e
		})),
		bus.Handle(svc, bus.SubjectInstancesDelete, f.delete),
		bus.Handle(svc, bus.SubjectInstancesConnect, f.connect, bus.WithValidate(func(q *pb.ConnectRequest) (e instance.FieldErrors) {
			instance.CheckMethod(&e, "method", q.GetMethod())
			if q.GetPhone() != "" {
				instance.CheckPhone(&e, "phone", q.GetPhone())
			}
			return e
		})),
		bus.Handle(svc, bus.SubjectInstancesLogout, f.logout),
		bus.Handle(svc, bus.SubjectInstancesRestart, f.restart),
		bus.Handle(svc, bus.SubjectInstancesPassword, f.password, bus.WithValidate(func(q *pb.PasswordRequest) (e instance.FieldErrors) {
			if q.GetPassword() == "" {
				e.Add("password", "is required")
			}
			return e
		})),
		bus.Handle(svc, bus.SubjectInstancesPasskey, f.passkey),
		bus.Handle(svc, bus.SubjectInstancesRotateToken, f.rotate),
		bus.Handle(svc, bus.SubjectInstancesResolveToken, f.resolveToken),
		bus.Handle(svc, bus.SubjectWebhooksCreate, f.createWebhook, bus.WithValidate(func(q *pb.CreateWebhookRequest) (e instance.FieldErrors) {
			checkURL(&e, "webhook.url", q.GetWebhook().GetUrl())
			instance.CheckEventKinds(&e, "webhook.events", q.GetWebhook().GetEvents())
			return e
		})),
		bus.Handle(svc, bus.SubjectWebhooksList, f.listWebhooks),
		bus.Handle(svc, bus.SubjectWebhooksUpdate, f.updateWebhook, bus.WithValidate(func(q *pb.UpdateWebhookRequest) (e instance.FieldErrors) {
			if q.Url != nil {
				checkURL(&e, "url", q.GetUrl())
			}
			instance.CheckEventKinds(&e, "events.kinds", q.GetEvents().GetKinds())
			instance.CheckHeaders(&e, "headers.values", q.GetHeaders().GetValues())
			return e
		})),
		bus.Handle(svc, bus.SubjectWebhooksDelete, f.deleteWebhook),
	} {
		if err != nil {
			f.tb.Fatal(err)
		}
	}
}

func (f *fakeRegistry) stop() {
	f.tb.Helper()
	if err := f.svc.Stop(context.Background()); err != nil {
		f.tb.Fatal(err)
	}
}

func checkURL(e *instance.FieldErrors, field, url string) {
	if !strings.HasPrefix(url, "https://") {
		e.Add(field, "must be an https URL")
	}
}

func checkCreate(q *pb.CreateInstanceRequest) (e instance.FieldErrors) {
	instance.CheckName(&e, "name", q.GetName())
	instance.CheckProvider(&e, "provider", q.GetProvider())
	for i, w := range q.GetWebhooks() {
		checkURL(&e, "webhooks["+string(rune('0'+i))+"].url", w.GetUrl())
	}
	return e
}

// note counts a call and keeps its request.
func (f *fakeRegistry) note(subject string, req proto.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[subject]++
	f.last[subject] = proto.Clone(req)
}

func (f *fakeRegistry) count(subject string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[subject]
}

func (f *fakeRegistry) lastOf(subject string) proto.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last[subject]
}

func (f *fakeRegistry) put(ctx context.Context, rec *pb.InstanceRecord) (uint64, error) {
	body, err := bus.EncodeJSON(rec)
	if err != nil {
		return 0, err
	}
	return f.kv.Put(ctx, bus.InstanceKey(instance.ID(rec.GetInstance().GetId())), body)
}

// find returns a live record by id, number or name; f.mu is held.
func (f *fakeRegistry) find(ref string) (*pb.InstanceRecord, error) {
	for id, rec := range f.records {
		i := rec.GetInstance()
		if (ref == id || ref == i.GetName() || ref == numberText(i.GetNumber())) && rec.GetDeletedAt() == nil {
			return rec, nil
		}
	}
	return nil, instance.Problemf(instance.CodeInstanceNotFound, "No instance has this id, number or name.")
}

func (f *fakeRegistry) create(ctx context.Context, req *pb.CreateInstanceRequest) (*pb.CreateInstanceReply, error) {
	f.note(bus.SubjectInstancesCreate, req)
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.find(req.GetName()); err == nil {
		return nil, instance.Problemf(instance.CodeNameTaken, "The name is taken.")
	}
	token := req.GetToken()
	if token == "" {
		token = seal.NewToken()
	}
	now := timestamppb.Now()
	id := uuid.Must(uuid.NewV7()).String()
	rec := &pb.InstanceRecord{TokenHash: seal.HashToken(token), Instance: &pb.Instance{Id: id, Name: strings.TrimSpace(req.GetName()),
		Number: 9000000000 + uint64(len(f.records)), Provider: req.GetProvider(), Settings: req.GetSettings(), CreatedAt: now, UpdatedAt: now}}
	f.records[id] = rec
	if _, err := f.put(ctx, rec); err != nil {
		return nil, err
	}
	reply := &pb.CreateInstanceReply{Instance: proto.CloneOf(rec.GetInstance()), Token: token}
	for _, w := range req.GetWebhooks() {
		reply.Webhooks = append(reply.Webhooks, &pb.Webhook{Id: uuid.NewString(), Url: w.GetUrl()})
	}
	return reply, nil
}

func (f *fakeRegistry) get(_ context.Context, req *pb.GetInstanceRequest) (*pb.GetInstanceReply, error) {
	f.note(bus.SubjectInstancesGet, req)
	f.mu.Lock()
	defer f.mu.Unlock()
	rec, err := f.find(req.GetRef())
	if err != nil {
		return nil, err
	}
	return &pb.GetInstanceReply{Instance: proto.CloneOf(rec.GetInstance())}, nil
}

// change edits and stores a record.
func (f *fakeRegistry) change(ctx context.Context, ref string, edit func(*pb.InstanceRecord)) (*pb.InstanceRecord, uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rec, err := f.find(ref)
	if err != nil {
		return nil, 0, err
	}
	edit(rec)
	revision, err := f.put(ctx, rec)
	return proto.CloneOf(rec), revision, err
}

func (f *fakeRegistry) update(ctx context.Context, req *pb.UpdateInstanceRequest) (*pb.UpdateInstanceReply, error) {
	f.note(bus.SubjectInstancesUpdate, req)
	rec, _, err := f.change(ctx, req.GetRef(), func(rec *pb.InstanceRecord) {
		if req.Name != nil {
			rec.Instance.Name = req.GetName()
		}
		rec.Instance.SpecVersion++
	})
	return &pb.UpdateInstanceReply{Instance: rec.GetInstance()}, err
}

func (f *fakeRegistry) delete(ctx context.Context, req *pb.DeleteInstanceRequest) (*pb.DeleteInstanceReply, error) {
	f.note(bus.SubjectInstancesDelete, req)
	f.mu.Lock()
	if rec := f.records[req.GetRef()]; rec.GetDeletedAt() != nil {
		f.mu.Unlock()
		return &pb.DeleteInstanceReply{}, nil
	}
	f.mu.Unlock()
	_, _, err := f.change(ctx, req.GetRef(), func(rec *pb.InstanceRecord) { rec.DeletedAt = timestamppb.Now() })
	return &pb.DeleteInstanceReply{}, err
}

func (f *fakeRegistry) command(ctx context.Context, subject, ref string, req proto.Message) (*pb.CommandReply, error) {
	f.note(subject, req)
	rec, revision, err := f.change(ctx, ref, func(rec *pb.InstanceRecord) { rec.Instance.Request++ })
	if err != nil {
		return nil, err
	}
	id := instance.ID(rec.GetInstance().GetId())
	if f.after != nil {
		f.after(id, rec.GetInstance().GetRequest())
	}
	return &pb.CommandReply{InstanceId: string(id), Request: rec.GetInstance().GetRequest(), Revision: revision,
		Status: bus.StatusToProto(instance.Initial(rec.GetInstance().GetCreatedAt().AsTime()))}, nil
}

func (f *fakeRegistry) connect(ctx context.Context, req *pb.ConnectRequest) (*pb.CommandReply, error) {
	return f.command(ctx, bus.SubjectInstancesConnect, req.GetRef(), req)
}

func (f *fakeRegistry) logout(ctx context.Context, req *pb.LogoutRequest) (*pb.CommandReply, error) {
	return f.command(ctx, bus.SubjectInstancesLogout, req.GetRef(), req)
}

func (f *fakeRegistry) restart(ctx context.Context, req *pb.RestartRequest) (*pb.CommandReply, error) {
	return f.command(ctx, bus.SubjectInstancesRestart, req.GetRef(), req)
}

func (f *fakeRegistry) password(_ context.Context, req *pb.PasswordRequest) (*pb.SessionReply, error) {
	f.note(bus.SubjectInstancesPassword, req)
	return &pb.SessionReply{Status: &pb.Status{Phase: "syncing"}}, nil
}

func (f *fakeRegistry) passkey(_ context.Context, req *pb.PasskeyRequest) (*pb.SessionReply, error) {
	f.note(bus.SubjectInstancesPasskey, req)
	return nil, &instance.Problem{Code: instance.CodeNoOwner, Detail: "Nobody has it.", RetryAfter: 2}
}

func (f *fakeRegistry) rotate(ctx context.Context, req *pb.RotateTokenRequest) (*pb.RotateTokenReply, error) {
	f.note(bus.SubjectInstancesRotateToken, req)
	token := seal.NewToken()
	_, revision, err := f.change(ctx, req.GetRef(), func(rec *pb.InstanceRecord) { rec.TokenHash = seal.HashToken(token) })
	return &pb.RotateTokenReply{Token: token, Revision: revision}, err
}

func (f *fakeRegistry) resolveToken(_ context.Context, req *pb.ResolveTokenRequest) (*pb.ResolveTokenReply, error) {
	f.note(bus.SubjectInstancesResolveToken, req)
	f.mu.Lock()
	defer f.mu.Unlock()
	reply := &pb.ResolveTokenReply{}
	for id, rec := range f.records {
		if rec.GetTokenHash() == req.GetTokenHash() && rec.GetDeletedAt() == nil {
			reply.InstanceIds = append(reply.InstanceIds, id)
		}
	}
	return reply, nil
}

func (f *fakeRegistry) createWebhook(_ context.Context, req *pb.CreateWebhookRequest) (*pb.CreateWebhookReply, error) {
	f.note(bus.SubjectWebhooksCreate, req)
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &pb.Webhook{Id: uuid.NewString(), InstanceId: req.GetRef(), Url: req.GetWebhook().GetUrl(), Secret: "whsec_made"}
	f.webhooks[w.GetId()] = w
	return &pb.CreateWebhookReply{Webhook: w}, nil
}

func (f *fakeRegistry) listWebhooks(_ context.Context, req *pb.ListWebhooksRequest) (*pb.ListWebhooksReply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	reply := &pb.ListWebhooksReply{}
	for id, w := range f.webhooks {
		if w.GetInstanceId() == req.GetRef() && (req.GetWebhookId() == "" || req.GetWebhookId() == id) {
			shown := proto.CloneOf(w)
			shown.Secret = ""
			reply.Webhooks = append(reply.Webhooks, shown)
		}
	}
	if req.GetWebhookId() != "" && len(reply.GetWebhooks()) == 0 {
		return nil, instance.Problemf(instance.CodeWebhookNotFound, "There is no such webhook here.")
	}
	return reply, nil
}

func (f *fakeRegistry) updateWebhook(_ context.Context, req *pb.UpdateWebhookRequest) (*pb.UpdateWebhookReply, error) {
	f.note(bus.SubjectWebhooksUpdate, req)
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.webhooks[req.GetWebhookId()]
	if w == nil {
		return nil, instance.Problemf(instance.CodeWebhookNotFound, "There is no such webhook here.")
	}
	if req.Url != nil {
		w.Url = req.GetUrl()
	}
	return &pb.UpdateWebhookReply{Webhook: w}, nil
}

func (f *fakeRegistry) deleteWebhook(_ context.Context, req *pb.DeleteWebhookRequest) (*pb.DeleteWebhookReply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.webhooks, req.GetWebhookId())
	return &pb.DeleteWebhookReply{}, nil
}
