package whatsapp

import (
	"slices"

	waLog "go.mau.fi/whatsmeow/util/log"
	"go.uber.org/zap"
)

// libraryLog passes on the constant part of what the library warns of. Its
// arguments hold stanzas, phone numbers and references of QR codes.
type libraryLog struct{ log *zap.Logger }

var _ waLog.Logger = libraryLog{}

// socketEnd is what the library says of every connection that ends, ours too (its
// socket/framesocket.go). The session tells why it has ended, so at the level of
// warnings it would only drown what is one.
const socketEnd = "Error reading from websocket: %v"

func (l libraryLog) Errorf(format string, _ ...any) {
	if format == socketEnd {
		l.log.Debug("a WhatsApp socket has ended")
		return
	}
	l.log.Warn("the WhatsApp library reports an error", zap.String("format", format))
}

func (l libraryLog) Warnf(format string, args ...any) {
	if slices.Contains(args, any(errKept)) {
		return // As it should be.
	}
	l.log.Warn("the WhatsApp library warns", zap.String("format", format))
}

// Infof and Debugf are dropped: at debug level whole stanzas are logged.
func (libraryLog) Infof(string, ...any)  {}
func (libraryLog) Debugf(string, ...any) {}

func (l libraryLog) Sub(module string) waLog.Logger {
	return libraryLog{l.log.Named(module)}
}
