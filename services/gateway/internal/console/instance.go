package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/client"
)

const (
	// instanceInterval is the least time between two renderings of a live instance.
	instanceInterval = 200 * time.Millisecond
	// touchInterval is how often an open page extends the pairing window that it shows.
	touchInterval = 5 * time.Second
	// shownHistory is how many statuses the page lists.
	shownHistory = 20
)

type instancePage struct {
	frame
	Instance *pb.Instance
	Status   statusPart
	Code     codePart
	Actions  actionsPart
	History  historyPart
	Webhooks webhooksPart
}

// statusPart is what the instance is now.
type statusPart struct{ Status *pb.Status }

// codePart is what the phone needs.
type codePart struct {
	Status *pb.Status
	// QR is the current code with its picture, and NoPicture says why one without a
	// picture is not shown.
	QR          *pb.Qr
	NoPicture   bool
	PairingCode *pb.PairingCode
	// ID and FormToken are for the form of the password.
	ID, FormToken string
}

// actionsPart is what can be done with the instance.
type actionsPart struct {
	ID, FormToken, Phone             string
	Connect, Cancel, Restart, Linked bool
}

type historyPart struct {
	// Events are statuses, the newest first.
	Events []*pb.Event
	Failed bool
}

// instanceOf returns the instance of the route. The error is client.ErrNoInstance.
func (c *Console) instanceOf(r *http.Request) (*pb.Instance, instance.ID, error) {
	id, ok := instance.ParseID(r.PathValue("id"))
	if !ok {
		return nil, "", client.ErrNoInstance
	}
	i, err := c.Client.Instance(r.Context(), id)
	return i, id, err
}

// now returns the live parts that come from memory.
func (c *Console) now(id instance.ID, i *pb.Instance, formToken string) (statusPart, codePart, actionsPart) {
	o := c.Client.Views().Sessions.Current(id)
	status := i.GetStatus()
	if o.Known {
		status = bus.StatusToProto(o.Status)
	}
	code := codePart{Status: status, ID: string(id), FormToken: formToken}
	if status.GetPhase() == string(instance.Pairing) {
		code.QR, code.PairingCode = o.QR, o.PairingCode
		code.NoPicture = len(o.QR.GetImage()) == 0 && o.QR != nil
	}
	phase, linked := instance.Phase(status.GetPhase()), status.GetAccount() != nil
	steady := linked && (phase == instance.Online || phase == instance.Suspended)
	actions := actionsPart{ID: string(id), FormToken: formToken, Phone: i.GetPhone(), Linked: linked && !phase.Window(),
		Cancel: phase.Window(), Connect: !phase.Window() && !steady, Restart: phase != instance.Idle && !phase.Window()}
	return statusPart{status}, code, actions
}

// show is the page of one instance. Looking at it extends an open pairing window.
func (c *Console) show(w http.ResponseWriter, r *http.Request, one session) error {
	i, id, err := c.instanceOf(r)
	if err != nil {
		return err
	}
	c.Client.Touch(r.Context(), id)
	page := instancePage{Instance: i, History: c.history(r.Context(), id), Webhooks: c.webhooks(r.Context(), id),
		frame: frame{Title: i.GetName(), Stream: pageOf(id) + "/events", Refresh: true, FormToken: c.sessions.formToken(one)}}
	page.Status, page.Code, page.Actions = c.now(id, i, page.FormToken)
	return render(w, http.StatusOK, "instance", page)
}

// showEvents keeps the page of one instance as it is now.
func (c *Console) showEvents(w http.ResponseWriter, r *http.Request, one session) error {
	_, id, err := c.instanceOf(r)
	if err != nil {
		return err
	}
	views, open := c.Client.Views(), &openInstance{Console: c, id: id, formToken: c.sessions.formToken(one)}
	return c.live(w, r, one, liveParts{
		interval: instanceInterval,
		subscribe: func(changed func()) func() {
			leaveEvents := views.Sessions.SubscribeInstance(id, func(ev *pb.Event) { open.note(ev); changed() })
			leaveRecords := views.Instances.Subscribe(func(change bus.InstanceChange) {
				if change.Key == string(id) {
					changed()
				}
			})
			return func() { leaveRecords(); leaveEvents() }
		},
		render: open.render,
	})
}

// openInstance is the page of an instance in somebody's browser.
type openInstance struct {
	*Console
	id        instance.ID
	formToken string

	mu   sync.Mutex
	came []*pb.Event // statuses since the stream began

	history  *historyPart
	webhooks webhooksPart
	touched  time.Time
	asked    time.Time
}

// note keeps a status for the history. It is called by the view.
func (o *openInstance) note(ev *pb.Event) {
	if ev.GetKind() != string(instance.KindStatus) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.came = append(o.came, ev)
}

func (o *openInstance) render(ctx context.Context) ([]fragment, error) {
	i, err := o.Client.Instance(ctx, o.id)
	if errors.Is(err, client.ErrNoInstance) {
		return nil, errGone
	}
	if err != nil {
		return nil, err
	}
	at := time.Now()
	if at.Sub(o.touched) >= touchInterval {
		o.Client.Touch(ctx, o.id)
		o.touched = at
	}
	if at.Sub(o.asked) >= webhooksInterval {
		o.webhooks, o.asked = o.Console.webhooks(ctx, o.id), at
	}
	if o.history == nil {
		h := o.Console.history(ctx, o.id)
		o.history = &h
	}
	o.mu.Lock()
	o.history.Events = merged(o.history.Events, o.came)
	o.came = nil
	o.mu.Unlock()
	status, code, actions := o.now(o.id, i, o.formToken)
	return fragments(fragment{ID: "status", data: status}, fragment{ID: "code", data: code}, fragment{ID: "actions", data: actions},
		fragment{ID: "history", data: *o.history}, fragment{ID: "webhooks", data: o.webhooks})
}

// merged returns the newest of both, the newest first and each once.
func merged(have, more []*pb.Event) []*pb.Event {
	all := slices.Concat(more, have)
	slices.SortStableFunc(all, func(a, b *pb.Event) int {
		switch {
		case a.GetSequence() > b.GetSequence():
			return -1
		case a.GetSequence() < b.GetSequence():
			return 1
		}
		return 0
	})
	all = slices.CompactFunc(all, func(a, b *pb.Event) bool { return a.GetSequence() == b.GetSequence() })
	return all[:min(len(all), shownHistory)]
}

// history reads the last statuses. A page without them is better than none.
func (c *Console) history(ctx context.Context, id instance.ID) historyPart {
	events, err := c.Client.History(ctx, id)
	if err != nil {
		c.Log.Debug("history not read", zap.String("instance", string(id)), zap.Error(err))
	}
	return historyPart{Events: merged(nil, events), Failed: err != nil}
}
