package registry

import (
	"fmt"
	"slices"
	"testing"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	pb "pairgate.dev/proto/pairgate/v1"
)

func TestUpdate(t *testing.T) {
	w := serving(t)
	before := w.made(t, &pb.CreateInstanceRequest{Name: "shop", Provider: "whatsapp", Phone: "79001234567"}).GetInstance()
	update := func(req *pb.UpdateInstanceRequest) *pb.Instance {
		t.Helper()
		req.Ref = before.GetId()
		return must[pb.UpdateInstanceReply](t, w, bus.SubjectInstancesUpdate, req).GetInstance()
	}
	i := update(&pb.UpdateInstanceRequest{Name: new(" store "), QrTimeout: new(uint32(0)), Phone: new(""),
		Settings: &pb.InstanceSettings{DeviceName: "Office"}, Proxy: &pb.Proxy{Protocol: "http", Host: "p.example", Port: 8080, Username: "u", Password: "p"}})
	if i.GetName() != "store" || i.GetQrTimeout() != 120 || i.GetPhone() != "" || i.GetSettings().GetDeviceName() != "Office" ||
		i.GetProxy().GetHost() != "p.example" || i.GetProxy().GetPassword() != "" || i.GetSpecVersion() != 2 || i.GetNumber() != before.GetNumber() {
		t.Errorf("%v", i)
	}
	if same := update(&pb.UpdateInstanceRequest{Proxy: &pb.Proxy{Protocol: "http", Host: "p.example", Port: 8080, Username: "u", Password: "p"}}); same.GetSpecVersion() != 2 {
		t.Errorf("an update that changes nothing counts: %v", same)
	}
	if none := update(&pb.UpdateInstanceRequest{Proxy: &pb.Proxy{}}); none.GetProxy() != nil || none.GetSpecVersion() != 3 {
		t.Errorf("%v", none)
	}
	w.made(t, simple("shop")) // the old name is free
	refused(t, w, instance.CodeNameTaken, bus.SubjectInstancesUpdate, &pb.UpdateInstanceRequest{Ref: "store", Name: new("shop")})
	refused(t, w, instance.CodeInvalidRequest, bus.SubjectInstancesUpdate, &pb.UpdateInstanceRequest{Ref: "shop", Proxy: &pb.Proxy{Protocol: "http", Host: "p.example", Port: 8080}})
	p := refused(t, w, instance.CodeInvalidRequest, bus.SubjectInstancesUpdate, &pb.UpdateInstanceRequest{Name: new("/"), QrTimeout: new(uint32(1)), Phone: new("x")})
	if len(p.Errors) != 4 {
		t.Errorf("%v", p)
	}
	w.consistent(t, "after the updates")
}

func TestTokenRotation(t *testing.T) {
	w := serving(t)
	made := w.made(t, simple("shop"))
	id := made.GetInstance().GetId()
	holders := func(token string) []string {
		t.Helper()
		return must[pb.ResolveTokenReply](t, w, bus.SubjectInstancesResolveToken, &pb.ResolveTokenRequest{TokenHash: seal.HashToken(token)}).GetInstanceIds()
	}
	if got := holders(made.GetToken()); !slices.Equal(got, []string{id}) {
		t.Errorf("holders %v", got)
	}
	rotated := must[pb.RotateTokenReply](t, w, bus.SubjectInstancesRotateToken, &pb.RotateTokenRequest{Ref: "shop"})
	if len(rotated.GetToken()) != 50 || rotated.GetToken() == made.GetToken() || rotated.GetRevision() == 0 {
		t.Errorf("rotated at revision %d", rotated.GetRevision())
	}
	if got := holders(made.GetToken()); len(got) != 0 {
		t.Errorf("the old token is alive: %v", got)
	}
	if got := holders(rotated.GetToken()); !slices.Equal(got, []string{id}) {
		t.Errorf("holders %v", got)
	}
	// Creators may choose equal tokens.
	const shared = "shared-token-of-two"
	second := w.made(t, &pb.CreateInstanceRequest{Name: "other", Provider: "simulated", Token: shared})
	again := must[pb.RotateTokenReply](t, w, bus.SubjectInstancesRotateToken, &pb.RotateTokenRequest{Ref: "shop", Token: shared})
	same := must[pb.RotateTokenReply](t, w, bus.SubjectInstancesRotateToken, &pb.RotateTokenRequest{Ref: "shop", Token: shared})
	if again.GetToken() != shared || same.GetRevision() != again.GetRevision() {
		t.Error("the same token again is a change")
	}
	if got := holders(shared); !slices.Equal(got, []string{id, second.GetInstance().GetId()}) {
		t.Errorf("holders %v", got)
	}
	must[pb.DeleteInstanceReply](t, w, bus.SubjectInstancesDelete, &pb.DeleteInstanceRequest{Ref: "other"})
	if got := holders(shared); !slices.Equal(got, []string{id}) {
		t.Errorf("holders %v", got)
	}
	refused(t, w, instance.CodeInvalidRequest, bus.SubjectInstancesRotateToken, &pb.RotateTokenRequest{Ref: "shop", Token: "short"})
	refused(t, w, instance.CodeInvalidRequest, bus.SubjectInstancesResolveToken, &pb.ResolveTokenRequest{TokenHash: "x"})
	w.consistent(t, "after the rotations")
}

// Pages show every instance once, while others come and go.
func TestPagesWhileCreating(t *testing.T) {
	w := serving(t)
	want := map[string]bool{}
	for n := range 23 {
		want[w.made(t, simple(fmt.Sprint("shop ", n))).GetInstance().GetId()] = true
	}
	seen := map[string]int{}
	req := &pb.ListInstancesRequest{PageSize: 5}
	for n := 0; ; n++ {
		page := must[pb.ListInstancesReply](t, w, bus.SubjectInstancesList, req)
		for _, i := range page.GetInstances() {
			seen[i.GetId()]++
			if i.GetStatus().GetPhase() != "idle" {
				t.Errorf("status %v", i.GetStatus())
			}
		}
		if len(page.GetInstances()) > 5 {
			t.Errorf("a page of %d", len(page.GetInstances()))
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
		if n < 4 {
			w.made(t, simple(fmt.Sprint("late ", n)))
		}
	}
	for id, times := range seen {
		if times != 1 {
			t.Errorf("%s is shown %d times", id, times)
		}
		delete(want, id)
	}
	if len(want) != 0 || len(seen) != 27 {
		t.Errorf("%d were not shown, %d were", len(want), len(seen))
	}
}

func TestListFilters(t *testing.T) {
	w := serving(t)
	a := w.made(t, simple("Shop A")).GetInstance()
	w.made(t, &pb.CreateInstanceRequest{Name: "shop B", Provider: "whatsapp"})
	w.made(t, simple("office"))
	must[pb.DeleteInstanceReply](t, w, bus.SubjectInstancesDelete, &pb.DeleteInstanceRequest{Ref: "office"})
	w.says(t, a.GetId(), instance.Status{Phase: instance.Online, Reason: instance.ReasonLinked})
	for _, c := range []struct {
		req  *pb.ListInstancesRequest
		want int
	}{
		{&pb.ListInstancesRequest{}, 2}, {&pb.ListInstancesRequest{Name: "sHoP"}, 2}, {&pb.ListInstancesRequest{Name: "b"}, 1},
		{&pb.ListInstancesRequest{Provider: "whatsapp"}, 1}, {&pb.ListInstancesRequest{Phase: "online"}, 1}, {&pb.ListInstancesRequest{Phase: "idle"}, 1},
		{&pb.ListInstancesRequest{Phase: "online", Provider: "whatsapp"}, 0}, {&pb.ListInstancesRequest{PageSize: 2}, 2},
	} {
		rep := must[pb.ListInstancesReply](t, w, bus.SubjectInstancesList, c.req)
		if len(rep.GetInstances()) != c.want || rep.GetNextPageToken() != "" {
			t.Errorf("%v: %v", c.req, rep)
		}
	}
	p := refused(t, w, instance.CodeInvalidRequest, bus.SubjectInstancesList, &pb.ListInstancesRequest{Phase: "x", Provider: "y", PageSize: 501, PageToken: "z"})
	if len(p.Errors) != 4 {
		t.Errorf("%v", p)
	}
}

func FuzzPageToken(f *testing.F) {
	f.Add("")
	f.Add(instance.PageToken("01890a5d-ac96-774b-bcce-b302099a8057"))
	f.Add("YWZ0ZXI6")
	f.Fuzz(func(t *testing.T, token string) {
		if id, ok := instance.ParsePageToken(token); ok && token != "" {
			if again, ok := instance.ParsePageToken(instance.PageToken(id)); !ok || again != id {
				t.Fatalf("%q gives %q", token, id)
			}
		}
	})
}
