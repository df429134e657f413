package lab_test

import (
	"testing"

	"go.mau.fi/whatsmeow/types/events"

	"pairgate.dev/services/lab"
	"pairgate.dev/services/lab/labapi"
)

// inBothModes runs the test against a server that leaves clients their time to read
// what it says last, and against one that does not.
func inBothModes(t *testing.T, test func(t *testing.T, faults labapi.Faults)) {
	t.Run("patient", func(t *testing.T) { test(t, labapi.Faults{}) })
	t.Run("hostile", func(t *testing.T) { test(t, labapi.Faults{HostileClose: true}) })
}

func TestWhatsAppLinksADeviceByQR(t *testing.T) {
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	addWhatsApp(t, c, waPhone)
	w := newWADevice(t, l)
	w.connect()
	codes := awaitWA[*events.QR](w).Codes
	if len(codes) != 6 {
		t.Fatalf("%d codes, want 6", len(codes))
	}
	if err := c.ScanCode(t.Context(), waPhone, codes[2]); err != nil {
		t.Fatal(err)
	}
	linked := devices(t, c, waPhone)
	if len(linked) != 1 || linked[0].Connected || linked[0].Name == "" {
		t.Fatalf("once the scan is answered the phone shows %+v", linked)
	}
	success := awaitWA[*events.PairSuccess](w)
	if success.ID.User != waPhone || success.ID.Device != 1 || success.LID.Device != 1 || success.BusinessName != "Ada" {
		t.Fatalf("linked as %+v", success)
	}
	awaitWA[*events.ManualLoginReconnect](w)
	w.reconnect()
	linked = devices(t, c, waPhone)
	if len(linked) != 1 || !linked[0].Connected || linked[0].Connections != 1 || linked[0].MostConnections != 1 {
		t.Fatalf("once the device is online the phone shows %+v", linked)
	}
}
