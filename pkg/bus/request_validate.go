package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/instance"
)

// probeField is a field that no message has: a request that carries it is always refused.
const probeField = "only-validate"

// Validate asks the service of a subject what it would refuse in req, without
// any risk that the request is carried out: it is sent with a field that no
// message has. The bad fields are returned as the service names them, none when
// it finds nothing wrong. The error is that of Request when the service could not
// be asked.
//
// It is for those who decode requests themselves, as a gateway does, and found
// some fields bad: with MergeFieldErrors their errors and those of the service
// become the same answer as a request sent to the service itself gets.
func Validate(ctx context.Context, c *Conn, subject string, req proto.Message) (instance.FieldErrors, error) {
	body, err := encodeBody(req)
	if err != nil {
		return nil, err
	}
	err = requestBody(ctx, c, subject, withProbe(body), nil)
	p, ok := errors.AsType[*instance.Problem](err)
	if !ok || p.Code != instance.CodeInvalidRequest {
		return nil, err
	}
	found := slices.Clone(instance.FieldErrors(p.Errors))
	return slices.DeleteFunc(found, func(e instance.FieldError) bool { return e.Field == probeField }), nil
}

// withProbe adds the field that no message has to a JSON object.
func withProbe(object []byte) []byte {
	member, _ := json.Marshal(probeField)
	members := bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(object), []byte("}")))
	if !bytes.Equal(members, []byte("{")) {
		members = append(slices.Clone(members), ',')
	}
	return slices.Concat(members, member, []byte(":true}"))
}
