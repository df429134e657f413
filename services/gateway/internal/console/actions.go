package console

import (
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// settleWait is how long a form waits for what its command does, so that the page
// that follows shows it even where no script runs.
const settleWait = 2 * time.Second

// toPage leads the browser to the page of an instance.
func toPage(w http.ResponseWriter, r *http.Request, id instance.ID) error {
	http.Redirect(w, r, pageOf(id), http.StatusSeeOther)
	return nil
}

type newPage struct {
	frame
	Name, Provider string
	Providers      []instance.Provider
	Detail         string
	Bad            map[string]string // messages by field
}

func (c *Console) newForm(w http.ResponseWriter, _ *http.Request, one session) error {
	return render(w, http.StatusOK, "new", c.newPage(one))
}

func (c *Console) newPage(one session) newPage {
	return newPage{frame: frame{Title: "New instance", FormToken: c.sessions.formToken(one)}, Providers: instance.Providers()}
}

// create makes an instance. Its token is not shown: pages hold no secrets, and the
// API gives a new one at any time.
func (c *Console) create(w http.ResponseWriter, r *http.Request, one session) error {
	req := &pb.CreateInstanceRequest{Name: r.PostForm.Get("name"), Provider: r.PostForm.Get("provider")}
	var reply pb.CreateInstanceReply
	if err := c.Client.Request(r.Context(), bus.SubjectInstancesCreate, req, &reply); err != nil {
		p := instance.AsProblem(err)
		if status := p.Code.HTTPStatus(); status < 400 || status >= 500 {
			return err
		}
		page := c.newPage(one)
		page.Name, page.Provider, page.Detail, page.Bad = req.GetName(), req.GetProvider(), p.Detail, map[string]string{}
		for _, bad := range p.Errors {
			page.Bad[bad.Field] = bad.Message
		}
		return render(w, p.Code.HTTPStatus(), "new", page)
	}
	id := instance.ID(reply.GetInstance().GetId())
	c.Client.SeeInstance(r.Context(), id, func(rec *pb.InstanceRecord) bool { return rec != nil })
	return toPage(w, r, id)
}

// connect opens a pairing window, for a QR code or for a code to be typed.
func (c *Console) connect(w http.ResponseWriter, r *http.Request, _ session) error {
	_, id, err := c.instanceOf(r)
	if err != nil {
		return err
	}
	req := &pb.ConnectRequest{Ref: string(id), Method: r.PostForm.Get("method"), Phone: digits(r.PostForm.Get("phone"))}
	var reply pb.CommandReply
	if err := c.Client.Request(r.Context(), bus.SubjectInstancesConnect, req, &reply); err != nil {
		return err
	}
	c.Client.See(r.Context(), reply.GetRevision())
	c.Client.AwaitConnect(r.Context(), id, reply.GetRequest(), instance.Method(req.GetMethod()), settleWait)
	return toPage(w, r, id)
}

// digits is a phone number without what people put between its digits.
func digits(phone string) string {
	return strings.NewReplacer(" ", "", "+", "", "-", "", "(", "", ")", "").Replace(phone)
}

func (c *Console) restart(w http.ResponseWriter, r *http.Request, _ session) error {
	return c.command(w, r, bus.SubjectInstancesRestart, func(id instance.ID) proto.Message { return &pb.RestartRequest{Ref: string(id)} })
}

func (c *Console) unlink(w http.ResponseWriter, r *http.Request, _ session) error {
	return c.command(w, r, bus.SubjectInstancesLogout, func(id instance.ID) proto.Message { return &pb.LogoutRequest{Ref: string(id)} })
}

// command sends a command, and waits a moment for the session to take it up.
func (c *Console) command(w http.ResponseWriter, r *http.Request, subject string, req func(instance.ID) proto.Message) error {
	_, id, err := c.instanceOf(r)
	if err != nil {
		return err
	}
	var reply pb.CommandReply
	if err := c.Client.Request(r.Context(), subject, req(id), &reply); err != nil {
		return err
	}
	c.Client.See(r.Context(), reply.GetRevision())
	c.Client.AwaitStatus(r.Context(), id, settleWait, func(s instance.Status) bool { return s.ObservedRequest >= reply.GetRequest() })
	return toPage(w, r, id)
}

// password hands the account's password to the session that waits for it.
func (c *Console) password(w http.ResponseWriter, r *http.Request, _ session) error {
	_, id, err := c.instanceOf(r)
	if err != nil {
		return err
	}
	var reply pb.SessionReply
	req := &pb.PasswordRequest{Ref: string(id), Password: r.PostForm.Get("password")}
	if err := c.Client.Request(r.Context(), bus.SubjectInstancesPassword, req, &reply); err != nil {
		return err
	}
	return toPage(w, r, id)
}

func (c *Console) remove(w http.ResponseWriter, r *http.Request, _ session) error {
	_, id, err := c.instanceOf(r)
	if err != nil {
		return err
	}
	var reply pb.DeleteInstanceReply
	if err := c.Client.Request(r.Context(), bus.SubjectInstancesDelete, &pb.DeleteInstanceRequest{Ref: string(id)}, &reply); err != nil {
		return err
	}
	c.Client.SeeInstance(r.Context(), id, func(rec *pb.InstanceRecord) bool { return rec == nil || bus.InstanceDeleted(rec) })
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// question is what is asked before an action that cannot be undone by another.
type question struct{ Question, Text, Yes string }

var questions = map[string]question{
	"logout": {"Log out?", "The phone forgets this device. To link it again, somebody has to scan a new code.", "Log out"},
	"delete": {"Delete this instance?", "It is logged out on the phone first. Its webhooks, settings and token go with it. This cannot be undone.", "Delete for good"},
}

type askPage struct {
	frame
	question
	Instance *pb.Instance
	Action   string
}

// ask puts the question before a logout or a deletion.
func (c *Console) ask(w http.ResponseWriter, r *http.Request, one session) error {
	action := r.PathValue("action")
	q, ok := questions[action]
	if !ok {
		return instance.Problemf(instance.CodeNotFound, "There is no such route.")
	}
	i, _, err := c.instanceOf(r)
	if err != nil {
		return err
	}
	return render(w, http.StatusOK, "ask", askPage{frame: frame{Title: q.Question, FormToken: c.sessions.formToken(one)},
		question: q, Instance: i, Action: action})
}
