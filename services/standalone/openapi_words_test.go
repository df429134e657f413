package standalone_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// partOf are schemas of HTTP bodies that are a message without what stands in the route or a header.
var partOf = map[string]struct {
	message string
	without []string
}{
	"NewInstance":     {"CreateInstanceRequest", []string{"idempotencyKey", "label"}},
	"CreatedInstance": {"CreateInstanceReply", nil},
	"InstanceChange":  {"UpdateInstanceRequest", []string{"ref"}},
	"InstanceList":    {"ListInstancesReply", nil},
	"TokenChange":     {"RotateTokenRequest", []string{"ref"}},
	"Token":           {"RotateTokenReply", []string{"revision"}},
	"Connect":         {"ConnectRequest", []string{"ref", "window"}},
	"Password":        {"PasswordRequest", []string{"ref"}},
	"PasskeyResponse": {"PasskeyRequest", []string{"ref", "confirm"}},
	"WebhookChange":   {"WebhookSpec", nil},
	"WebhookList":     {"ListWebhooksReply", nil},
	"DeliveryList":    {"ListDeliveriesReply", nil},
	"Replay":          {"ReplayRequest", []string{"webhookId", "instanceIds"}},
	"Replayed":        {"ReplayReply", nil},
}

// TestDescriptionsHaveEveryField compares both descriptions with the schema of
// the wire: no message and no field is missing, and none is made up.
func TestDescriptionsHaveEveryField(t *testing.T) {
	d := describe(t)
	described := map[string]bool{}
	compare := func(name string, schema *openapi3.SchemaRef, message string, without []string) {
		found, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName("pairgate.v1." + message))
		if err != nil {
			return
		}
		described[message] = true
		var want []string
		fields := found.Descriptor().Fields()
		for i := range fields.Len() {
			if field := fields.Get(i).JSONName(); !slices.Contains(without, field) {
				want = append(want, field)
			}
		}
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(schema.Value.Properties)); !slices.Equal(got, want) {
			t.Errorf("%s has the properties %q, the message %q", name, got, want)
		}
		if schema.Value.AdditionalProperties.Has == nil || *schema.Value.AdditionalProperties.Has {
			t.Errorf("%s lets anything in", name)
		}
	}
	for _, schemas := range []openapi3.Schemas{d.doc.Components.Schemas, d.nats} {
		for name, schema := range schemas {
			if part, ok := partOf[name]; ok {
				compare(name, schema, part.message, part.without)
			} else {
				compare(name, schema, name, nil)
			}
		}
	}
	messages := pb.File_pairgate_v1_api_proto.Messages()
	for i := range messages.Len() {
		// What gateways send to the owner of a session is between our own services.
		if name := string(messages.Get(i).Name()); !described[name] && name != "TouchRequest" && name != "PresenceRequest" {
			t.Errorf("no description has %s", name)
		}
	}
}

// TestDescriptionsHaveEveryWord compares the closed lists of words.
func TestDescriptionsHaveEveryWord(t *testing.T) {
	d := describe(t)
	for name, want := range map[string][]string{"Phase": words(instance.Phases()), "Reason": words(instance.Reasons()), "Kind": words(instance.Kinds()),
		"Provider": words(instance.Providers()), "Format": words([]instance.Format{instance.FormatNative, instance.FormatGreenAPI, instance.FormatEvolution})} {
		sameWords(t, name, d.doc.Components.Schemas[name].Value.Enum, want)
	}
	sameWords(t, "the codes of problems", d.doc.Components.Schemas["Problem"].Value.Properties["code"].Value.Enum, words(instance.Codes()))
}

func words[W ~string](list []W) (out []string) {
	for _, w := range list {
		out = append(out, string(w))
	}
	slices.Sort(out)
	return out
}

func sameWords(t *testing.T, what string, enum []any, want []string) {
	t.Helper()
	var got []string
	for _, w := range enum {
		got = append(got, fmt.Sprint(w))
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%s: %q are described, there are %q", what, got, want)
	}
}

// TestAsyncAPIHasEverySubject compares the addresses with the one list of subjects.
func TestAsyncAPIHasEverySubject(t *testing.T) {
	var got []string
	for _, c := range readAsyncAPI(t).Channels {
		if c.Address != "" {
			got = append(got, c.Address)
		}
	}
	want := append(bus.RequestSubjects(), "pairgate.v1.events.{instanceId}.{kind}")
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("%q are described, there are %q", got, want)
	}
	d := describe(t)
	for _, o := range d.operations() {
		if s := o.subject(); s != "" && !slices.Contains(want, s) {
			t.Errorf("%s names the subject %s, which does not exist", o.name(), s)
		}
	}
}
