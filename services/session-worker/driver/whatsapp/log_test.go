package whatsapp

import (
	"errors"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestLibraryLogKeepsArgumentsAndEndedSocketsToItself(t *testing.T) {
	core, seen := observer.New(zapcore.DebugLevel)
	l := libraryLog{zap.New(core)}.Sub("Socket")
	l.Errorf(socketEnd, errors.New("79001234567"))
	l.Errorf("Failed to handle %v", "79001234567")
	l.Warnf("Odd stanza %v", "79001234567")
	l.Warnf("Failed to delete store: %v", errKept)
	l.Infof("%v", "79001234567")
	var levels []zapcore.Level
	for _, e := range seen.All() {
		levels = append(levels, e.Level)
		for _, f := range e.Context {
			if f.String != "" && f.String != "Failed to handle %v" && f.String != "Odd stanza %v" {
				t.Errorf("%s has %q", e.Message, f.String)
			}
		}
	}
	if len(levels) != 3 || levels[0] != zapcore.DebugLevel || levels[1] != zapcore.WarnLevel || levels[2] != zapcore.WarnLevel {
		t.Errorf("levels %v", levels)
	}
}
