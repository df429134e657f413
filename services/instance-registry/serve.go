package registry

import (
	"context"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// serve registers every subject that the registry answers.
func (r *registry) serve(s *bus.Service) error {
	rl := r.rules
	for _, register := range []func() error{
		operation(s, bus.SubjectInstancesCreate, "Makes an instance.", r.create, func(f *instance.FieldErrors, q *pb.CreateInstanceRequest) { rl.create(f, q) }),
		operation(s, bus.SubjectInstancesGet, "Shows an instance and its status.", r.get, byRef[*pb.GetInstanceRequest]),
		operation(s, bus.SubjectInstancesList, "Lists instances, a page at a time.", r.list, func(f *instance.FieldErrors, q *pb.ListInstancesRequest) { checkList(f, q) }),
		operation(s, bus.SubjectInstancesUpdate, "Changes what a user sets of an instance.", r.update, rl.update),
		operation(s, bus.SubjectInstancesDelete, "Deletes an instance, logging it out first.", r.delete, byRef[*pb.DeleteInstanceRequest]),
		operation(s, bus.SubjectInstancesConnect, "Opens a pairing window.", r.connect, func(f *instance.FieldErrors, q *pb.ConnectRequest) { checkConnect(f, q) }),
		operation(s, bus.SubjectInstancesLogout, "Unlinks an instance.", r.logout, byRef[*pb.LogoutRequest]),
		operation(s, bus.SubjectInstancesRestart, "Starts an instance's session anew.", r.restart, byRef[*pb.RestartRequest]),
		operation(s, bus.SubjectInstancesPassword, "Hands the account's password to the session that waits for it.", r.password, checkPassword),
		operation(s, bus.SubjectInstancesPasskey, "Hands an authenticator's answer to the session that waits for it.", r.passkey, checkPasskey),
		operation(s, bus.SubjectInstancesRotateToken, "Gives an instance another token.", r.rotateToken, checkRotateToken),
		operation(s, bus.SubjectInstancesResolveToken, "Says whose token has a hash.", r.resolveToken, checkResolveToken),
		operation(s, bus.SubjectInstancesReveal, "Shows gateways what is kept sealed of instances.", r.reveal, checkReveal),
		operation(s, bus.SubjectSettingsGet, "Shows the run-time settings.", r.getSettings, nil),
		operation(s, bus.SubjectSettingsUpdate, "Changes the run-time settings.", r.updateSettings, checkSettings),
		operation(s, bus.SubjectQRGet, "Shows the current QR code of an instance.", r.getQR, byRef[*pb.GetQrRequest]),
		operation(s, bus.SubjectWebhooksCreate, "Adds a webhook.", r.createWebhook, func(f *instance.FieldErrors, q *pb.CreateWebhookRequest) { rl.createWebhook(f, q) }),
		operation(s, bus.SubjectWebhooksList, "Lists webhooks.", r.listWebhooks, nil),
		operation(s, bus.SubjectWebhooksUpdate, "Changes a webhook.", r.updateWebhook, func(f *instance.FieldErrors, q *pb.UpdateWebhookRequest) { rl.updateWebhook(f, q) }),
		operation(s, bus.SubjectWebhooksDelete, "Removes a webhook.", r.deleteWebhook, func(f *instance.FieldErrors, q *pb.DeleteWebhookRequest) { checkWebhookID(f, q.GetWebhookId()) }),
	} {
		if err := register(); err != nil {
			return err
		}
	}
	return nil
}

// operation serves one subject: its requests are checked before they reach h,
// which checks again only what it needs in another form.
func operation[Req, Rep any](s *bus.Service, subject, description string, h func(context.Context, *Req) (*Rep, error), check func(*instance.FieldErrors, *Req)) func() error {
	opts := []bus.HandleOption{bus.WithDescription(description)}
	if check != nil {
		opts = append(opts, bus.WithValidate(func(req *Req) instance.FieldErrors {
			var f instance.FieldErrors
			check(&f, req)
			return f
		}))
	}
	return func() error {
		return bus.Handle(s, subject, func(ctx context.Context, req *Req) (*Rep, error) {
			rep, err := h(ctx, req)
			return rep, told(ctx, err)
		}, opts...)
	}
}

func byRef[Req interface{ GetRef() string }](f *instance.FieldErrors, req Req) {
	checkRef(f, req.GetRef())
}
