package greenapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// passwordTimeout is how long the answer waits for what the messenger says of a password.
const passwordTimeout = 10 * time.Second

// Reasons of the product for steps of an authorization that failed.
const (
	reasonRegistered = "already_registered"
	reasonPassword   = "invalid_password"
	reasonRate       = "rate_limit_exceeded"
	reasonNotStarted = "authorization_not_started"
	reasonTimeout    = "timeout"
	// reasonNotOffered is ours: there is no such way to link here.
	reasonNotOffered = "not_offered"
)

// step is the answer to a step of an authorization.
type step struct {
	Status bool     `json:"status"`
	Data   stepData `json:"data"`
}

type stepData struct {
	Status string `json:"status"`
	Reason string `json:"reason"`
}

func failed(reason string) step { return step{true, stepData{"fail", reason}} }

// startAuthorization links by a text message, which no messenger here offers: it
// answers that the method failed, as the product documents it.
func (a *API) startAuthorization(w http.ResponseWriter, r *http.Request, c *called) error {
	return a.byText(w, r, c, "phoneNumber")
}

// sendAuthorizationCode is its second step.
func (a *API) sendAuthorizationCode(w http.ResponseWriter, r *http.Request, c *called) error {
	return a.byText(w, r, c, "code")
}

func (a *API) byText(w http.ResponseWriter, r *http.Request, c *called, field string) error {
	body, err := readObject(w, r)
	if err != nil {
		return err
	}
	if !body.has(field) {
		return invalid(instance.FieldErrors{{Field: field, Message: "is required"}})
	}
	if a.see(c.id).Status.Account != nil {
		return answer(w, failed(reasonRegistered))
	}
	w.Header().Set(headerCode, string(instance.CodeNotOffered))
	return answer(w, step{false, stepData{"fail", reasonNotOffered}})
}

// sendAuthorizationPassword hands the account's password to the session that waits
// for it, and answers what the messenger said. It is stored nowhere.
func (a *API) sendAuthorizationPassword(w http.ResponseWriter, r *http.Request, c *called) error {
	body, err := readObject(w, r)
	if err != nil {
		return err
	}
	password, ok := body.text("password")
	if !ok || password == "" {
		return invalid(instance.FieldErrors{{Field: "password", Message: "is required: the account's password as a text"}})
	}
	before := a.see(c.id)
	switch {
	case before.Status.Account != nil:
		return answer(w, failed(reasonRegistered))
	case before.Status.Phase != instance.PasswordRequired:
		return answer(w, failed(reasonNotStarted))
	}
	var reply pb.SessionReply
	err = a.Client.Request(r.Context(), bus.SubjectInstancesPassword, &pb.PasswordRequest{Ref: string(c.id), Password: password}, &reply)
	if p, ok := errors.AsType[*instance.Problem](err); ok && p.Code == instance.CodeConflict {
		return answer(w, failed(reasonNotStarted))
	}
	if err != nil {
		return err
	}
	ctx, done := a.waiting(r)
	defer done()
	snap, err := a.awaitAnswer(ctx, c.id, before.StatusSequence)
	if err != nil {
		return answer(w, failed(reasonTimeout))
	}
	return answer(w, passwordOutcome(snap.Status))
}

func passwordOutcome(s instance.Status) step {
	switch {
	case s.Phase == instance.Syncing || s.Account != nil:
		return step{true, stepData{Status: "success"}}
	case s.Reason == instance.ReasonPasswordWrong:
		return failed(reasonPassword)
	case s.Reason == instance.ReasonThrottled || s.Reason == instance.ReasonRestricted:
		return failed(reasonRate)
	case s.Phase == instance.PasswordRequired:
		return failed(reasonTimeout)
	}
	return failed(reasonNotStarted)
}

// awaitAnswer returns the first status after the one with the sequence. The error
// says that none came in time.
func (a *API) awaitAnswer(ctx context.Context, id instance.ID, after uint64) (bus.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, passwordTimeout)
	defer cancel()
	return a.Client.Views().Sessions.Await(ctx, id, func(s bus.Snapshot) bool { return s.StatusSequence > after })
}
