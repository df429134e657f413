package native

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// instanceEvents streams the events of one instance. An open stream extends the
// instance's pairing window, as somebody looks at its code.
func (a *API) instanceEvents(w http.ResponseWriter, r *http.Request, id instance.ID) error {
	return a.stream(w, r, id)
}

// allEvents streams the events of all instances. It extends no window.
func (a *API) allEvents(w http.ResponseWriter, r *http.Request) error {
	return a.stream(w, r, "")
}

// watch is one open stream.
type watch struct {
	*API
	out    *eventWriter
	of     instance.ID // empty for all instances
	who    principal
	events chan *pb.Event
	// shown are the statuses that a snapshot has told beyond the position that it is of.
	shown map[string]uint64
}

// stream serves a client until it leaves, cannot keep up, loses its token, or
// the process drains. Then it comes back with Last-Event-ID.
func (a *API) stream(w http.ResponseWriter, r *http.Request, of instance.ID) error {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(a.Stopping, func() { cancel(errOver) })()
	a.Metrics.Streams.Inc()
	defer a.Metrics.Streams.Dec()

	s := &watch{API: a, of: of, who: principalOf(ctx), events: make(chan *pb.Event, a.Stream.Buffer),
		out: &eventWriter{w: w, control: http.NewResponseController(w), timeout: a.Stream.WriteTimeout}}
	defer s.out.cutOff(ctx)()
	// Who has seen the headers is told of everything that comes after them, so the
	// position is taken before.
	position := a.Client.Views().Sessions.Sequence()
	if err := s.out.begin(); err != nil || r.Method == http.MethodHead {
		return nil // the client has gone, or wants no more than the headers
	}
	leave, err := s.resume(ctx, r.Header.Get("Last-Event-ID"), position, func() { cancel(errSlow) })
	if leave != nil {
		defer leave()
	}
	if err == nil {
		s.follow(ctx)
	}
	if errors.Is(context.Cause(ctx), errSlow) {
		a.Metrics.Cut.Inc()
	}
	return nil
}

// resume writes what came since the client's last id, or since position when it
// has none, or, when that cannot be told, a gap and what is now; from then on
// events are in s.events.
func (s *watch) resume(ctx context.Context, lastID string, position uint64, slow func()) (leave func(), err error) {
	push := func(ev *pb.Event) {
		select {
		case s.events <- ev:
		default:
			slow()
		}
	}
	recent := s.Client.Views().Events
	if lastID == "" {
		return s.from(position, recent, push)
	}
	select {
	case <-recent.Ready():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	sequence, ok := parseEventID(lastID)
	if ok && sequence < recent.Oldest() {
		var stopped error
		upTo, err := recent.CatchUp(ctx, sequence, s.of, func(ev *pb.Event) error {
			stopped = s.show(ev)
			return stopped
		})
		if stopped != nil || ctx.Err() != nil {
			return nil, errors.Join(stopped, ctx.Err())
		}
		if ok = err == nil; ok {
			sequence = upTo
		}
	}
	if !ok {
		sequence = 0
	}
	backlog, known, leave := recent.Subscribe(sequence, s.of, push)
	if !ok || !known {
		return leave, s.gap(ctx)
	}
	return leave, s.showAll(backlog)
}

// from begins behind the position. The client is told of it, so that it can come
// back to it before there was any event.
func (s *watch) from(position uint64, recent *bus.RecentEvents, push func(*pb.Event)) (leave func(), err error) {
	backlog, _, leave := recent.Subscribe(position, s.of, push)
	if position > 0 {
		if err := s.out.position(position); err != nil {
			return leave, err
		}
	}
	return leave, s.showAll(backlog)
}

func (s *watch) showAll(events []*pb.Event) error {
	for _, ev := range events {
		if err := s.show(ev); err != nil {
			return err
		}
	}
	return nil
}

// gap tells the client that events are missing, and what is now. The client's last
// id moves only behind the last of it, so that one who is cut off asks again.
func (s *watch) gap(ctx context.Context) error {
	views := s.Client.Views()
	position := views.Sessions.Sequence()
	data, err := json.Marshal(map[string]string{"sequence": strconv.FormatUint(position, 10),
		"detail": "Events since your last one are not kept any more, or it is unknown. What is now follows."})
	if err != nil {
		return err
	}
	if err := s.out.event(0, "gap", data); err != nil {
		return err
	}
	s.shown = map[string]uint64{}
	for rec := range views.Instances.After("") {
		id := instance.ID(rec.GetInstance().GetId())
		if s.of != "" && id != s.of {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.snapshot(rec.GetInstance(), views.Sessions.Current(id), position); err != nil {
			return err
		}
	}
	if position == 0 {
		return nil
	}
	return s.out.position(position)
}

// snapshot writes what an instance is now, as events without an id.
func (s *watch) snapshot(i *pb.Instance, now bus.Snapshot, position uint64) error {
	if now.StatusSequence > position {
		s.shown[i.GetId()] = now.StatusSequence
	}
	base := func(kind instance.Kind, sequence uint64) *pb.Event {
		return &pb.Event{Kind: string(kind), Time: bus.TimeToProto(now.Status.Since), Epoch: now.Status.Epoch, Attempt: now.Status.Attempt,
			Instance: &pb.InstanceRef{Id: i.GetId(), Name: i.GetName(), Number: i.GetNumber(), Provider: i.GetProvider()},
			Sequence: sequence, Incarnation: s.Client.Views().Sessions.Incarnation()}
	}
	status := base(instance.KindStatus, now.StatusSequence)
	status.Body = &pb.Event_Status{Status: shownStatus(now, bus.StatusToProto(instance.Initial(i.GetCreatedAt().AsTime())))}
	events := []*pb.Event{status}
	switch {
	case now.QR != nil:
		ev := base(instance.KindQR, now.QRSequence)
		ev.Body = &pb.Event_Qr{Qr: now.QR}
		events = append(events, ev)
	case now.Code != nil:
		ev := base(instance.KindCode, now.CodeSequence)
		ev.Body = &pb.Event_Code{Code: now.Code}
		events = append(events, ev)
	}
	if now.PairingCode != nil {
		ev := base(instance.KindPairingCode, now.PairingCodeSequence)
		ev.Body = &pb.Event_PairingCode{PairingCode: now.PairingCode}
		events = append(events, ev)
	}
	for _, ev := range events {
		if err := s.out.proto(ev, false); err != nil {
			return err
		}
	}
	return nil
}

// follow writes events as they come.
func (s *watch) follow(ctx context.Context) {
	heartbeat, check, touch := time.NewTicker(s.Stream.Heartbeat), time.NewTicker(s.Stream.Check), time.NewTicker(s.Stream.Touch)
	defer heartbeat.Stop()
	defer check.Stop()
	defer touch.Stop()
	s.touch(ctx)
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case ev := <-s.events:
			err = s.show(ev)
		case <-heartbeat.C:
			err = s.out.heartbeat()
		case <-check.C:
			err = s.allowed()
		case <-touch.C:
			s.touch(ctx)
		}
		if err != nil {
			return
		}
	}
}

func (s *watch) touch(ctx context.Context) {
	if s.of != "" {
		s.Client.Touch(ctx, s.of)
	}
}

// allowed returns an error once the token that opened the stream is dead.
func (s *watch) allowed() error {
	if s.who.admin || s.Client.StillHolds(s.who.hash, s.of) {
		return nil
	}
	return errRevoked
}

// show writes an event unless readers must not see it any more. The deletion of
// the one instance that is watched is the last event.
func (s *watch) show(ev *pb.Event) error {
	if ev.GetKind() == string(instance.KindStatus) && ev.GetSequence() <= s.shown[ev.GetInstance().GetId()] {
		return nil
	}
	if err := s.allowed(); err != nil {
		return err
	}
	if !current(ev, s.Client.Views().Sessions.Current(instance.ID(ev.GetInstance().GetId())), time.Now()) {
		return nil
	}
	if err := s.out.proto(ev, true); err != nil {
		return err
	}
	if s.of != "" && ev.GetKind() == string(instance.KindDeleted) {
		return errOver
	}
	return nil
}

// current says whether an event may still be shown, now being what the instance
// is at this moment: codes and pictures only while the window that they belong to
// is open, none newer is there, and they live. That a code was withdrawn may be told
// at any time.
func current(ev *pb.Event, now bus.Snapshot, at time.Time) bool {
	switch body := ev.GetBody().(type) {
	case *pb.Event_Code:
		return body.Code.GetCode() == "" || currentQR(body.Code, now, at)
	case *pb.Event_Qr:
		return currentQR(body.Qr, now, at)
	case *pb.Event_PairingCode:
		c := body.PairingCode
		return c.GetCode() == "" || pairing(now, c.GetAttempt()) && alive(c.GetExpiresAt(), at) &&
			ev.GetSequence() >= now.PairingCodeSequence
	case *pb.Event_Passkey:
		c := body.Passkey
		if c.GetOptions() == "" && c.GetConfirmation() == "" {
			return true
		}
		return now.Status.Phase == instance.PasskeyRequired && now.Status.Attempt == ev.GetAttempt() &&
			alive(c.GetExpiresAt(), at)
	}
	return true
}

func currentQR(q *pb.Qr, now bus.Snapshot, at time.Time) bool {
	if !pairing(now, q.GetAttempt()) || !alive(q.GetExpiresAt(), at) {
		return false
	}
	return now.Code == nil || q.GetSequence() >= now.Code.GetSequence()
}

func pairing(now bus.Snapshot, attempt uint64) bool {
	return now.Status.Phase == instance.Pairing && now.Status.Attempt == attempt
}

func alive(expires *timestamppb.Timestamp, at time.Time) bool {
	return expires == nil || at.Before(expires.AsTime())
}
