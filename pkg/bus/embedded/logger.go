package embedded

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// lastError keeps what the server complained of last, so that a failed start can
// say it.
type lastError struct {
	mu    sync.Mutex
	text  string
	fatal bool
}

func (l *lastError) set(text string, fatal bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.fatal {
		l.text, l.fatal = text, fatal
	}
}

// isFatal says whether the server has met what it would have exited for.
func (l *lastError) isFatal() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

func (l *lastError) explain(waited time.Duration) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text == "" {
		return fmt.Sprintf("it gave no reason within %v; a large store on a slow disk may need longer", waited)
	}
	return l.text
}

// logger turns the server's log into ours. Fatalf does not end the process.
type logger struct {
	log  *zap.Logger
	last *lastError
}

func newLogger(log *zap.Logger, last *lastError) *logger {
	return &logger{log: log, last: last}
}

func (l *logger) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *logger) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *logger) Tracef(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }

// plainPassword is the server's advice to hash the password in its configuration
// file. Ours has no file: whoever can read the password could read its hash's too.
const plainPassword = "Plaintext passwords detected"

func (l *logger) Warnf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if strings.HasPrefix(text, plainPassword) {
		return
	}
	l.log.Warn(text)
}

func (l *logger) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.last.set(text, false)
	l.log.Error(text)
}

func (l *logger) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.last.set(text, true)
	l.log.Error(text, zap.Bool("fatal", true))
}
