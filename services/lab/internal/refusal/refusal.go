// Package refusal is why the lab does not do what it was asked to.
package refusal

import "fmt"

// Error is a refusal. Detail holds no code, phone or key.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Reason is one of labapi's.
	Reason string
	Detail string
}

// Error returns the reason and the detail.
func (e *Error) Error() string { return e.Reason + ": " + e.Detail }

// Conflict is a refusal with status 409.
func Conflict(reason, format string, args ...any) *Error {
	return &Error{Status: 409, Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
