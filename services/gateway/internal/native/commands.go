package native

import (
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/client"
	"pairgate.dev/services/gateway/internal/web"
)

// connect opens a pairing window. It answers 200 with the status, and the QR or
// the pairing code beside it, when the command is settled within ?wait, else 202
// with the status.
func (a *API) connect(w http.ResponseWriter, r *http.Request, id instance.ID) error {
	req := &pb.ConnectRequest{}
	reply, wait, err := a.command(w, r, id, bus.SubjectInstancesConnect, req, func() { req.Ref = string(id) }, "window")
	if err != nil {
		return err
	}
	ctx, done := a.waiting(r)
	defer done()
	method := instance.Method(req.GetMethod())
	o := a.Client.AwaitConnect(ctx, id, reply.GetRequest(), method, wait)
	answer, err := web.ObjectOf(shownStatus(o.Snapshot, reply.GetStatus()))
	if err != nil {
		return err
	}
	if !o.Settled {
		return answer.Write(w, http.StatusAccepted)
	}
	if o.Status.Phase == instance.Pairing {
		if method != instance.MethodCode {
			err = addQR(answer, o)
		} else if o.PairingCode != nil {
			err = addMessage(answer, "pairingCode", o.PairingCode)
		}
		if err != nil {
			return err
		}
	}
	return answer.Write(w, http.StatusOK)
}

// logout answers 200 once the instance is idle, 202 when that takes longer than ?wait.
func (a *API) logout(w http.ResponseWriter, r *http.Request, id instance.ID) error {
	req := &pb.LogoutRequest{}
	return a.await(w, r, id, bus.SubjectInstancesLogout, req, func() { req.Ref = string(id) },
		func(s instance.Status) bool { return s.Phase == instance.Idle })
}

// restart answers 200 once the session's owner has taken the command up.
func (a *API) restart(w http.ResponseWriter, r *http.Request, id instance.ID) error {
	req := &pb.RestartRequest{}
	return a.await(w, r, id, bus.SubjectInstancesRestart, req, func() { req.Ref = string(id) },
		func(instance.Status) bool { return true })
}

// await sends a command and answers 200 with the first status that has observed
// it and that reached accepts, or 202 after ?wait.
func (a *API) await(w http.ResponseWriter, r *http.Request, id instance.ID, subject string, req proto.Message, setRef func(), reached func(instance.Status) bool) error {
	reply, wait, err := a.command(w, r, id, subject, req, setRef)
	if err != nil {
		return err
	}
	ctx, done := a.waiting(r)
	defer done()
	o := a.Client.AwaitStatus(ctx, id, wait, func(s instance.Status) bool {
		return s.ObservedRequest >= reply.GetRequest() && reached(s)
	})
	status := http.StatusAccepted
	if o.Settled {
		status = http.StatusOK
	}
	return web.JSON(w, status, shownStatus(o.Snapshot, reply.GetStatus()))
}

// command decodes and sends a command whose body may be empty, and waits until
// this gateway sees it stored.
func (a *API) command(w http.ResponseWriter, r *http.Request, id instance.ID, subject string, req proto.Message, setRef func(), hidden ...string) (*pb.CommandReply, time.Duration, error) {
	q := web.ParseQuery(r.URL.RawQuery)
	wait := q.Wait()
	bad, err := web.Decode(w, r, req, append(hidden, "ref")...)
	if err != nil {
		return nil, 0, err
	}
	setRef()
	reply := &pb.CommandReply{}
	if err := a.Client.Checked(r.Context(), subject, append(q.Bad, bad...), nil, req, reply); err != nil {
		return nil, 0, err
	}
	a.Client.See(r.Context(), reply.GetRevision())
	return reply, wait, nil
}

// shownStatus is the status of a snapshot as answers show it, with the passkey
// challenge that is to be answered now; otherwise, as long as no status was ever
// published, the one that somebody else knows.
func shownStatus(s bus.Snapshot, otherwise *pb.Status) *pb.Status {
	if !s.Known && otherwise != nil {
		return otherwise
	}
	st := s.Status
	st.Passkey = s.Passkey
	return bus.StatusToProto(st)
}

func addMessage(o web.Object, name string, m proto.Message) error {
	body, err := bus.EncodeJSON(m)
	if err != nil {
		return err
	}
	o[name] = body
	return nil
}

// addQR adds the code of an outcome, if there is one.
func addQR(o web.Object, from client.Outcome) error {
	qr, err := shownQR(from)
	if qr == nil || err != nil {
		return err
	}
	body, err := qr.encode()
	if err != nil {
		return err
	}
	o["qr"] = body
	return nil
}
