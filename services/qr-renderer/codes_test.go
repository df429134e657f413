package renderer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"

	renderer "pairgate.dev/services/qr-renderer"
)

func TestEachCodeGetsItsPicture(t *testing.T) {
	bustest.CheckGoroutines(t)
	srv := bustest.Server(t)
	conn := bustest.Conn(t, srv)
	m := start(t, onServer(srv), renderer.Config{})
	m.ready(t)

	for sequence := uint64(1); sequence <= 3; sequence++ {
		code := codeEvent(1, 4, sequence, fmt.Sprintf("2@text of code %d", sequence), time.Minute)
		stored := publish(t, conn, code)
		got := waitPicture(t, conn, 1, stored)

		if text := decode(t, got.GetQr().GetImage()); text != code.GetCode().GetCode() {
			t.Errorf("the picture reads %q", text)
		}
		if got.GetSequence() <= stored {
			t.Errorf("picture %d before its code %d", got.GetSequence(), stored)
		}
		want := proto.CloneOf(code)
		want.Id, want.Kind = bus.DerivedEventID(code.GetId(), instance.KindQR), "qr"
		want.Time, want.Sequence, want.CodeSequence = got.GetTime(), got.GetSequence(), stored
		qr := proto.CloneOf(code.GetCode())
		qr.Image = got.GetQr().GetImage()
		want.Body = &pb.Event_Qr{Qr: qr}
		if !proto.Equal(got, want) {
			t.Errorf("the event is\n%v\nwant\n%v", got, want)
		}
	}
	settled(t, conn)
	if n := m.value(t, "pairgate_qr_pictures_total", "code"); n != 3 {
		t.Errorf("%v pictures counted", n)
	}
	bustest.CheckFor(t, 10*time.Second, func() error {
		if n := m.value(t, "pairgate_qr_codes_pending", ""); n != 0 {
			return fmt.Errorf("%v codes pending", n)
		}
		return nil
	})
}

func TestThePictureHasTheLookOfItsInstance(t *testing.T) {
	srv := bustest.Server(t)
	conn := bustest.Conn(t, srv)
	putRecord(t, conn, 1, &pb.QrStyle{Foreground: "#175197", Level: "H", Margin: 3, Size: 500})
	putRecord(t, conn, 2, &pb.QrStyle{Foreground: "#ffff00"}) // no registry would store it
	putRecord(t, conn, 3, &pb.QrStyle{Size: 64, Level: "H"})  // too small for the text
	m := start(t, onServer(srv), renderer.Config{})
	m.ready(t)

	text := "2@" + strings.Repeat("pairgate", 30)
	for n, want := range map[int]struct {
		size   int
		colour string
	}{1: {500, "#175197"}, 2: {320, "#000000"}, 3: {89, "#000000"}} {
		got := waitPicture(t, conn, n, publish(t, conn, codeEvent(n, 1, 1, text, time.Minute)))
		if decode(t, got.GetQr().GetImage()) != text {
			t.Errorf("instance %d: does not read as its code", n)
		}
		size, colour := look(t, got.GetQr().GetImage())
		if size != want.size || colour != want.colour {
			t.Errorf("instance %d: %d pixels, %s, want %d and %s", n, size, colour, want.size, want.colour)
		}
	}

	// A change of the look counts from the next code on.
	putRecord(t, conn, 1, &pb.QrStyle{Size: 640})
	bustest.CheckFor(t, 20*time.Second, func() error {
		got := waitPicture(t, conn, 1, publish(t, conn, codeEvent(1, 1, 2, text, time.Minute)))
		if size, colour := look(t, got.GetQr().GetImage()); size != 640 || colour != "#000000" {
			return fmt.Errorf("%d pixels, %s", size, colour)
		}
		return nil
	})
}

func TestATextThatNoCodeHoldsIsToldWithoutImage(t *testing.T) {
	srv := bustest.Server(t)
	conn := bustest.Conn(t, srv)
	m := start(t, onServer(srv), renderer.Config{})
	m.ready(t)
	text := strings.Repeat("x", 2400)
	got := waitPicture(t, conn, 1, publish(t, conn, codeEvent(1, 1, 1, text, time.Minute)))
	if qr := got.GetQr(); len(qr.GetImage()) != 0 || qr.GetImageReason() != "qr_text_too_long" || qr.GetCode() != text {
		t.Errorf("image of %d bytes, reason %q", len(qr.GetImage()), qr.GetImageReason())
	}
}

func TestWithdrawnAndExpiredCodesAreNotDrawn(t *testing.T) {
	srv := bustest.Server(t)
	conn := bustest.Conn(t, srv)
	m := start(t, onServer(srv), renderer.Config{})
	m.ready(t)
	publish(t, conn, codeEvent(1, 1, 1, "", time.Minute))
	publish(t, conn, codeEvent(2, 1, 1, "2@expired", -time.Second))
	settled(t, conn)
	for _, n := range []int{1, 2} {
		if e, err := lastPicture(t.Context(), conn, n); !isNotFound(err) {
			t.Errorf("instance %d: %v, %v", n, e, err)
		}
	}
	if n := m.value(t, "pairgate_qr_pictures_total", ""); n != 0 {
		t.Errorf("%v pictures drawn", n)
	}
	for _, reason := range []string{"withdrawn", "expired"} {
		if n := m.value(t, "pairgate_qr_codes_dropped_total", reason); n != 1 {
			t.Errorf("%v dropped as %s", n, reason)
		}
	}
}

// A message that is no code must neither stop the others nor come again for ever,
// and what it holds may be a code: the log does not say it.
func TestAPoisonMessageIsGivenUp(t *testing.T) {
	srv := bustest.Server(t)
	conn := bustest.Conn(t, srv)
	m := start(t, onServer(srv), renderer.Config{})
	m.ready(t)
	other := codeEvent(2, 1, 1, "2@very-secret", time.Minute)
	wrongPlace, err := bus.EncodeEvent(other)
	if err != nil {
		t.Fatal(err)
	}
	noID := proto.CloneOf(other)
	noID.Id, noID.Instance.Id = "", string(id(1))
	noIDBody, err := bus.EncodeJSON(noID)
	if err != nil {
		t.Fatal(err)
	}
	poison := [][]byte{nil, []byte("2@very-secret"), []byte(`{"code":{"code":2@very-secret}}`), []byte(`{"kind":"code"}`), wrongPlace.Data, noIDBody, {0xff}}
	for i, body := range poison {
		msg := nats.NewMsg(bus.EventSubject(id(1), instance.KindCode))
		msg.Data = body
		if _, err := conn.JetStream().PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(i, err)
		}
	}
	waitPicture(t, conn, 3, publish(t, conn, codeEvent(3, 1, 1, "2@good", time.Minute)))
	settled(t, conn)
	if n := m.value(t, "pairgate_qr_codes_dropped_total", "undecodable"); n != float64(len(poison)) {
		t.Errorf("%v given up, want %d", n, len(poison))
	}
	if given := m.logs.FilterMessage("a code is given up").Len(); given != len(poison) {
		t.Errorf("%d log lines, want %d", given, len(poison))
	}
	for _, line := range m.logs.All() {
		if strings.Contains(fmt.Sprint(line.Message, line.ContextMap()), "very-secret") {
			t.Errorf("the log says what was in it: %v", line)
		}
	}
}

// What a renderer did not see while it was down: of each instance only the code
// that lives now is drawn.
func TestARendererThatWasDownDrawsLiveCodesOnly(t *testing.T) {
	srv := bustest.Server(t)
	conn := bustest.Conn(t, srv)
	var last uint64
	for sequence := uint64(1); sequence <= 20; sequence++ {
		last = publish(t, conn, codeEvent(1, 1, sequence, fmt.Sprintf("2@code %d", sequence), time.Minute))
	}
	publish(t, conn, codeEvent(2, 1, 1, "2@old", -time.Second))
	publish(t, conn, codeEvent(3, 1, 1, "2@scanned", time.Minute))
	publish(t, conn, codeEvent(3, 1, 1, "", time.Minute))

	m := start(t, onServer(srv), renderer.Config{})
	m.ready(t)
	waitPicture(t, conn, 1, last)
	settled(t, conn)
	if n := m.value(t, "pairgate_qr_pictures_total", ""); n != 1 {
		t.Errorf("%v pictures drawn at the first start ever", n)
	}
	m.stop()

	// Now the durable exists and remembers every code meanwhile.
	for sequence := uint64(21); sequence <= 40; sequence++ {
		last = publish(t, conn, codeEvent(1, 1, sequence, fmt.Sprintf("2@code %d", sequence), time.Minute))
	}
	m = start(t, onServer(srv), renderer.Config{})
	m.ready(t)
	got := waitPicture(t, conn, 1, last)
	if text := decode(t, got.GetQr().GetImage()); text != "2@code 40" {
		t.Errorf("reads %q", text)
	}
	settled(t, conn)
	if n := pictures(t, conn, 1); n != 2 {
		t.Errorf("%d pictures in the stream, want those of codes 20 and 40", n)
	}
}

func TestAThousandInstancesPairingAtOnce(t *testing.T) {
	const instances = 1000
	srv := bustest.Server(t)
	conn := bustest.Conn(t, srv)
	members := []*member{start(t, onServer(srv), renderer.Config{}), start(t, onServer(srv), renderer.Config{Workers: 1})}
	for _, m := range members {
		m.ready(t)
	}
	var pending []jetstream.PubAckFuture
	for n := range instances {
		msg, err := bus.EncodeEvent(codeEvent(n, 1, 1, fmt.Sprintf("2@instance %d", n), 5*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		ack, err := conn.JetStream().PublishMsgAsync(msg, jetstream.WithStallWait(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, ack)
	}
	for _, ack := range pending {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			t.Fatal(err)
		}
	}
	bustest.CheckFor(t, time.Minute, func() error {
		stream, err := conn.JetStream().Stream(t.Context(), bus.StreamEvents)
		if err != nil {
			return err
		}
		info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(bus.EventsOfKind(instance.KindQR)))
		if err != nil {
			return err
		}
		if got := len(info.State.Subjects); got != instances {
			return fmt.Errorf("%d of %d have a picture", got, instances)
		}
		for subject, n := range info.State.Subjects {
			if n != 1 {
				return fmt.Errorf("%s has %d pictures", subject, n)
			}
		}
		return nil
	})
	settled(t, conn)
	drawn := 0.0
	for i, m := range members {
		n := m.value(t, "pairgate_qr_pictures_total", "code")
		if n == 0 {
			t.Errorf("member %d drew nothing", i)
		}
		drawn += n
	}
	if drawn != instances {
		t.Errorf("%v pictures drawn for %d codes", drawn, instances)
	}
}

// A drained member leaves nothing in hand, and what it did not do is done by the next.
func TestADrainLosesNoCode(t *testing.T) {
	bustest.CheckGoroutines(t)
	const codes = 300
	srv := bustest.Server(t)
	conn := bustest.Conn(t, srv)
	m := start(t, onServer(srv), renderer.Config{})
	m.ready(t)
	for n := range codes {
		publish(t, conn, codeEvent(n, 1, 1, fmt.Sprintf("2@instance %d", n), 5*time.Minute))
	}
	m.stop()
	consumer, err := conn.JetStream().Consumer(t.Context(), bus.StreamEvents, bus.DurableRenderer)
	if err != nil {
		t.Fatal(err)
	}
	// Acknowledgements are not answered; the last of them are still on their way.
	bustest.CheckFor(t, 5*time.Second, func() error {
		info, err := consumer.Info(t.Context())
		if err == nil && info.NumAckPending != 0 {
			err = fmt.Errorf("%d codes are still in the hand of a member that is gone", info.NumAckPending)
		}
		return err
	})
	start(t, onServer(srv), renderer.Config{}).ready(t)
	for n := range codes {
		bustest.CheckFor(t, 30*time.Second, func() error {
			_, err := lastPicture(t.Context(), conn, n)
			return err
		})
	}
}

// The consumer may vanish under a renderer, by an operator's hand or a restored
// stream: it is made again.
func TestADeletedConsumerIsMadeAgain(t *testing.T) {
	srv := bustest.Server(t)
	conn := bustest.Conn(t, srv)
	m := start(t, onServer(srv), renderer.Config{})
	m.ready(t)
	if err := conn.JetStream().DeleteConsumer(t.Context(), bus.StreamEvents, bus.DurableRenderer); err != nil {
		t.Fatal(err)
	}
	waitPicture(t, conn, 1, publish(t, conn, codeEvent(1, 1, 1, "2@later", time.Minute)))
}

func TestRunReturnsBeforeAnythingIsThere(t *testing.T) {
	bustest.CheckGoroutines(t)
	srv := bustest.Server(t)
	conn := bustest.Conn(t, srv, bustest.WithoutStreams())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := renderer.Run(ctx, renderer.Config{}, renderer.Deps{Bus: conn}); err != nil {
		t.Error(err)
	}
}
