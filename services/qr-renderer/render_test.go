package renderer_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"

	renderer "pairgate.dev/services/qr-renderer"
)

func TestAnyTextIsDrawnOnRequest(t *testing.T) {
	bustest.CheckGoroutines(t)
	srv := bustest.Server(t)
	conn := bustest.Conn(t, srv)
	m := start(t, onServer(srv), renderer.Config{})
	m.ready(t)

	for _, c := range []struct {
		req         *pb.RenderQrRequest
		contentType string
		begins      string
	}{
		{&pb.RenderQrRequest{Text: "pairgate"}, "image/png", "\x89PNG"},
		{&pb.RenderQrRequest{Text: "pairgate", Format: "png", Size: 640, Level: "h", Foreground: "#175197", Margin: 3}, "image/png", "\x89PNG"},
		{&pb.RenderQrRequest{Text: "pairgate", Format: "svg"}, "image/svg+xml", "<svg "},
		{&pb.RenderQrRequest{Text: "pairgate", Format: "txt"}, "text/plain; charset=utf-8", "█"},
		{&pb.RenderQrRequest{Text: "pairgate", Format: "txt", Invert: true}, "text/plain; charset=utf-8", "    "},
	} {
		var rep pb.RenderQrReply
		if err := bus.Request(t.Context(), conn, bus.SubjectQRRender, c.req, &rep); err != nil {
			t.Fatalf("%v: %v", c.req, err)
		}
		if rep.GetContentType() != c.contentType || !bytes.HasPrefix(rep.GetImage(), []byte(c.begins)) {
			t.Errorf("%v: %s of %d bytes", c.req, rep.GetContentType(), len(rep.GetImage()))
		}
		if c.contentType == "image/png" && decode(t, rep.GetImage()) != "pairgate" {
			t.Errorf("%v: does not read as its text", c.req)
		}
	}
	if n := m.value(t, "pairgate_qr_pictures_total", "request"); n != 5 {
		t.Errorf("%v pictures counted", n)
	}
}

func TestARequestNamesEveryBadFieldAtOnce(t *testing.T) {
	srv := bustest.Server(t)
	conn := bustest.Conn(t, srv)
	start(t, onServer(srv), renderer.Config{}).ready(t)
	for body, want := range map[string][]string{
		`{}`: {"text"},
		`{"text":"","format":"gif","size":63,"level":"X","foreground":"red","background":"#12345","margin":17}`: {"background", "foreground", "format", "level", "margin", "size", "text"},
		`{"text":1,"format":"gif","colour":"red","size":"huge"}`:                                                {"colour", "format", "size", "text"},
		`{"text":"pairgate","size":64,"margin":16,"level":"H","format":"svg"}`:                                  nil,
		`{"text":"` + strings.Repeat("x", 300) + `","size":64}`:                                                 {"size"},
	} {
		reply, err := conn.NATS().Request(bus.SubjectQRRender, []byte(body), bus.DefaultHandlerTimeout)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			if code := reply.Header.Get(bus.HeaderErrorCode); code != "" {
				t.Errorf("%.80s: %s %s", body, code, reply.Data)
			}
			continue
		}
		var p pb.Problem
		if err := bus.DecodeJSON(reply.Data, &p); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range p.GetErrors() {
			got = append(got, e.GetField())
		}
		slices.Sort(got)
		if reply.Header.Get(bus.HeaderErrorCode) != "400" || !slices.Equal(got, want) {
			t.Errorf("%.80s: %s, fields %v, want %v", body, reply.Header.Get(bus.HeaderErrorCode), got, want)
		}
	}
}

func TestATextThatNoCodeHoldsIsRefused(t *testing.T) {
	srv := bustest.Server(t)
	conn := bustest.Conn(t, srv)
	start(t, onServer(srv), renderer.Config{}).ready(t)
	text := strings.Repeat("secret ", 400)
	err := bus.Request(t.Context(), conn, bus.SubjectQRRender, &pb.RenderQrRequest{Text: text}, &pb.RenderQrReply{})
	p, ok := errors.AsType[*instance.Problem](err)
	if !ok || p.Code != instance.CodeQRTextTooLong || !strings.Contains(p.Detail, "2800") || !strings.Contains(p.Detail, "2331") || strings.Contains(p.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

// The largest picture of the worst text fits into one message, in either encoding.
func TestTheLargestPictureFitsIntoAMessage(t *testing.T) {
	srv := bustest.Server(t)
	conn := bustest.Conn(t, srv)
	start(t, onServer(srv), renderer.Config{}).ready(t)
	r := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	for text.Len() < 2953 {
		text.WriteByte(byte(' ' + r.IntN(95)))
	}
	for _, format := range []string{"png", "svg", "txt"} {
		body, err := bus.EncodeJSON(&pb.RenderQrRequest{Text: text.String(), Format: format, Level: "L", Size: 2048, Margin: 16})
		if err != nil {
			t.Fatal(err)
		}
		reply, err := conn.NATS().RequestMsg(&nats.Msg{Subject: bus.SubjectQRRender, Data: body}, bus.DefaultHandlerTimeout)
		if err != nil {
			t.Fatal(err)
		}
		if code := reply.Header.Get(bus.HeaderErrorCode); code != "" {
			t.Fatalf("%s: %s %s", format, code, reply.Data)
		}
		t.Logf("%s: a reply of %d bytes", format, len(reply.Data))
		if limit := 800_000; len(reply.Data) > limit {
			t.Errorf("%s: a reply of %d bytes, want at most %d", format, len(reply.Data), limit)
		}
	}
}
