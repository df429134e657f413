package service

import "time"

// utcClock gives log lines one time zone on every machine.
type utcClock struct{}

// Now implements [zapcore.Clock].
func (utcClock) Now() time.Time { return time.Now().UTC() }

// NewTicker implements [zapcore.Clock].
func (utcClock) NewTicker(d time.Duration) *time.Ticker { return time.NewTicker(d) }
