package bus_test

import (
	"context"
	"testing"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

func TestValidateAsksButNeverCarriesOut(t *testing.T) {
	conn := bustest.Conn(t, bustest.Server(t), bustest.WithoutStreams())
	s, err := bus.NewService(conn, bus.ServiceConfig{Name: "validated"})
	if err != nil {
		t.Fatal(err)
	}
	check := bus.WithValidate(func(req *pb.ConnectRequest) instance.FieldErrors {
		var f instance.FieldErrors
		instance.CheckMethod(&f, "method", req.GetMethod())
		return f
	})
	err = bus.Handle(s, bus.SubjectInstancesConnect, func(context.Context, *pb.ConnectRequest) (*pb.CommandReply, error) {
		t.Error("the request was carried out")
		return nil, nil
	}, check)
	if err != nil {
		t.Fatal(err)
	}
	err = bus.Handle(s, bus.SubjectSettingsGet, func(context.Context, *pb.GetSettingsRequest) (*pb.GetSettingsReply, error) {
		t.Error("the request was carried out")
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, subject string
		req           proto.Message
		bad           []string
	}{
		{"a bad field", bus.SubjectInstancesConnect, &pb.ConnectRequest{Method: "smoke"}, []string{"method"}},
		{"nothing bad", bus.SubjectInstancesConnect, &pb.ConnectRequest{Method: "qr"}, nil},
		{"no fields at all", bus.SubjectSettingsGet, &pb.GetSettingsRequest{}, nil},
		{"no body", bus.SubjectSettingsGet, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found, err := bus.Validate(t.Context(), conn, tt.subject, tt.req)
			if err != nil || len(found) != len(tt.bad) {
				t.Fatalf("%v, %v; want %v", found, err, tt.bad)
			}
			for i := range found {
				if found[i].Field != tt.bad[i] {
					t.Errorf("%v; want %v", found, tt.bad)
				}
			}
		})
	}
	_, err = bus.Validate(t.Context(), conn, bus.SubjectInstancesGet, &pb.GetInstanceRequest{})
	if instance.AsProblem(err).Code != instance.CodeUnavailable {
		t.Errorf("nobody serves it: %v", err)
	}
}
