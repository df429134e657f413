//go:build soak

package standalone_test

import "testing"

// TestSoakKilledAtAnyMoment is TestKilledAtAnyMoment fifty times over.
func TestSoakKilledAtAnyMoment(t *testing.T) { killAtAnyMoment(t, 50) }

// TestSoakKilledWhatsAppSessionsComeBack is TestKilledWhatsAppSessionsComeBack with a hundred sessions.
func TestSoakKilledWhatsAppSessionsComeBack(t *testing.T) { killWhatsAppSessions(t, 100) }
