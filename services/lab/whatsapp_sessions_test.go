package lab_test

import (
	"context"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pairgate.dev/services/lab"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/lab/labclient"
)

// linkedWADevice starts a lab with an account and a device of it that is online.
func linkedWADevice(t *testing.T, faults labapi.Faults) (*lab.Lab, *labclient.Client, *waDevice) {
	t.Helper()
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	addWhatsApp(t, c, waPhone)
	faults.PreKeyCount = 1 // 812 keys take their time
	setFaults(t, c, faults)
	w := newWADevice(t, l.Addrs())
	w.link(c, waPhone)
	return l, c, w
}

func setFaults(t *testing.T, c *labclient.Client, f labapi.Faults) {
	t.Helper()
	if err := c.SetFaults(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// finally returns the event that ends a session for good. A server that closes right
// behind its last stanza may be heard as a lost connection, which a driver mends by
// coming again, to be told then.
func finally[T any](w *waDevice) T {
	w.tb.Helper()
	deadline := time.After(patience)
	for {
		select {
		case event := <-w.events:
			switch event := event.(type) {
			case T:
				return event
			case *events.Disconnected:
				w.connect()
			}
		case <-deadline:
			var want T
			w.tb.Fatalf("no %T came", want)
		}
	}
}

func TestWhatsAppUnlinkedDevicesAreTold(t *testing.T) {
	inBothModes(t, func(t *testing.T, faults labapi.Faults) {
		_, c, w := linkedWADevice(t, faults)
		if err := c.Unlink(t.Context(), waPhone); err != nil {
			t.Fatal(err)
		}
		if told := finally[*events.LoggedOut](w); told.Reason != events.ConnectFailureLoggedOut || !faults.HostileClose && told.OnConnect {
			t.Errorf("online, it was told %+v", told)
		}
		if got := devices(t, c, waPhone); len(got) != 0 {
			t.Errorf("the phone still shows %+v", got)
		}
		if got := reason(c.Unlink(t.Context(), waPhone)); got != labapi.ReasonNotLinked {
			t.Errorf("unlinked once more: %s", got)
		}
	})
	t.Run("offline", func(t *testing.T) {
		_, c, w := linkedWADevice(t, labapi.Faults{})
		w.disconnect()
		waitFor(t, "the lab to notice", func() bool { return !devices(t, c, waPhone)[0].Connected })
		if err := c.Unlink(t.Context(), waPhone); err != nil {
			t.Fatal(err)
		}
		w.connect()
		if told := awaitWA[*events.LoggedOut](w); !told.OnConnect || told.Reason != events.ConnectFailureLoggedOut {
			t.Errorf("it was told %+v", told)
		}
	})
}

// Decision: what a device has unlinked itself from is forgotten before it is told. (A
// hostile server that closes at once would race with the library's Logout.)
func TestWhatsAppLogout(t *testing.T) {
	_, c, w := linkedWADevice(t, labapi.Faults{})
	if err := w.client.Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := devices(t, c, waPhone); len(got) != 0 {
		t.Errorf("the phone still shows %+v", got)
	}
}

// Decision: the lab shows when two clients hold one device at once.
func TestWhatsAppTwoClientsOfOneDevice(t *testing.T) {
	inBothModes(t, func(t *testing.T, faults labapi.Faults) {
		l, c, first := linkedWADevice(t, faults)
		copied := *first.device
		second := &waDevice{tb: t, addrs: l.Addrs(), device: &copied, mem: first.mem}
		second.connect()
		awaitWA[*events.Connected](second)
		if !faults.HostileClose { // else it may just lose its connection
			awaitWA[*events.StreamReplaced](first)
		}
		waitFor(t, "the first connection to be closed", func() bool { return devices(t, c, waPhone)[0].Connections == 1 })
		if got := devices(t, c, waPhone); len(got) != 1 || !got[0].Connected || got[0].MostConnections != 2 {
			t.Errorf("the phone shows %+v", got)
		}
	})
}

func TestWhatsAppReplaceAndDrop(t *testing.T) {
	_, c, w := linkedWADevice(t, labapi.Faults{})
	if err := c.Replace(t.Context(), waPhone); err != nil {
		t.Fatal(err)
	}
	awaitWA[*events.StreamReplaced](w)
	if got := reason(c.Drop(t.Context(), waPhone)); got != labapi.ReasonNotConnected {
		t.Errorf("dropped when it is not connected: %s", got)
	}
	w.reconnect()
	if err := c.Drop(t.Context(), waPhone); err != nil {
		t.Fatal(err)
	}
	awaitWA[*events.Disconnected](w)
	w.reconnect()
	if got := devices(t, c, waPhone); got[0].MostConnections != 1 {
		t.Errorf("one client after the other counts as %+v", got)
	}
}

func TestWhatsAppBans(t *testing.T) {
	l, c, w := linkedWADevice(t, labapi.Faults{})
	if err := c.Ban(t.Context(), waPhone, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if ban := finally[*events.TemporaryBan](w); ban.Code != events.TempBanSentToTooManyPeople || ban.Expire < 50*time.Minute || ban.Expire > time.Hour {
		t.Errorf("told %+v", ban)
	}
	if err := c.Ban(t.Context(), waPhone, time.Time{}); err != nil {
		t.Fatal(err)
	}
	w.connect()
	if ban := awaitWA[*events.TemporaryBan](w); ban.Expire != 0 {
		t.Errorf("a ban without end is told as %+v", ban)
	}
	other := newWADevice(t, l.Addrs())
	other.connect()
	if got := reason(c.ScanCode(t.Context(), waPhone, awaitWA[*events.QR](other).Codes[0])); got != labapi.ReasonBanned {
		t.Errorf("a scan by a banned phone: %s", got)
	}
	if err := c.Unban(t.Context(), waPhone); err != nil {
		t.Fatal(err)
	}
	w.reconnect()
	if got := reason(c.Suspend(t.Context(), waPhone, time.Time{})); got != labapi.ReasonNotOffered {
		t.Errorf("a suspension: %s", got)
	}
}

func TestWhatsAppPresenceIsKept(t *testing.T) {
	_, c, w := linkedWADevice(t, labapi.Faults{})
	w.client.Store.PushName = "Ada"
	for _, p := range []types.Presence{types.PresenceAvailable, types.PresenceUnavailable} {
		if err := w.client.SendPresence(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "the presence to arrive", func() bool {
		sent := devices(t, c, waPhone)[0].Sent
		return len(sent) == 2 && sent[0].Text == "available" && sent[1].Text == "unavailable" && sent[1].Kind == "presence"
	})
}

// Decision: what was answered is on disk, whatever becomes of the process.
func TestWhatsAppKillForgetsNothing(t *testing.T) {
	dir := t.TempDir()
	p, c, addrs := startProcess(t, dir)
	addWhatsApp(t, c, waPhone)
	w := newWADevice(t, addrs)
	w.connect()
	if err := c.ScanCode(context.Background(), waPhone, awaitWA[*events.QR](w).Codes[0]); err != nil {
		t.Fatal(err)
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait()
	awaitWA[*events.PairSuccess](w)

	_, c, addrs = startProcess(t, dir)
	w.addrs = addrs
	w.reconnect()
	if uploaded := w.mem.uploaded; uploaded != 812 {
		t.Errorf("a device without prekeys has uploaded %d", uploaded)
	}
	if got := devices(t, c, waPhone); len(got) != 1 || !got[0].Connected {
		t.Fatalf("after the kill the phone shows %+v", got)
	}
}
