package evolution

import "time"

// isoTime is a time as JavaScript's toISOString writes it.
func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
