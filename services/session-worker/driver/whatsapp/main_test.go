package whatsapp_test

import (
	"os"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
)

// TestMain makes the library ping more often. Its intervals are variables of the
// process, to be set before the first client connects.
func TestMain(m *testing.M) {
	whatsmeow.KeepAliveIntervalMin, whatsmeow.KeepAliveIntervalMax = 500*time.Millisecond, 700*time.Millisecond
	whatsmeow.KeepAliveResponseDeadline = 2 * time.Second
	os.Exit(m.Run())
}
