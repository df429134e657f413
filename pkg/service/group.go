package service

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"go.uber.org/zap"
)

// Named is a part of a program that runs until its context ends.
type Named struct {
	Name string
	// Run serves until ctx ends, and then returns nil after it has drained.
	Run func(ctx context.Context) error
}

// ErrStopped is a part that returned although nobody had asked it to.
var ErrStopped = errors.New("stopped without being asked to")

// PanicError is a panic that was recovered. Its text names the type of the
// value only; the value and the stack are in the log.
type PanicError struct {
	Value any
	Stack []byte
}

// Error names the type of what was panicked with.
func (e *PanicError) Error() string { return fmt.Sprintf("panic (%T), see the log", e.Value) }

// RunGroup runs the parts side by side and returns when all have returned. The
// first one to fail, by an error, a panic or a return that nobody asked for
// ([ErrStopped]), ends the context of the others. The error names each part that
// failed, the first one first; context.Canceled after the end of the context is
// no failure. It is nil when ctx ended and every part drained without an error.
func RunGroup(ctx context.Context, log *zap.Logger, parts ...Named) error {
	group, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	var mu sync.Mutex
	var failed []error
	var wg sync.WaitGroup
	for _, part := range parts {
		wg.Go(func() {
			err := Recover(log, part.Name, func() error { return part.Run(group) })
			switch {
			case group.Err() == nil && err == nil:
				err = ErrStopped
			case group.Err() != nil && errors.Is(err, context.Canceled):
				err = nil
			}
			if err == nil {
				return
			}
			err = fmt.Errorf("%s: %w", part.Name, err)
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, err)
			stop(err)
		})
	}
	wg.Wait()
	return errors.Join(failed...)
}

// Recover calls run and turns a panic in it into a *[PanicError], after logging
// the value and the stack under the name.
func Recover(log *zap.Logger, name string, run func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			stack := debug.Stack()
			log.Error("recovered from a panic", zap.String("part", name), zap.String("panic", fmt.Sprint(v)), zap.ByteString("stack", stack))
			err = &PanicError{Value: v, Stack: stack}
		}
	}()
	return run()
}
