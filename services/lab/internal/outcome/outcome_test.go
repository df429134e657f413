package outcome_test

import (
	"context"
	"errors"
	"testing"

	"pairgate.dev/services/lab/internal/outcome"
)

func TestOutcome(t *testing.T) {
	o, first := outcome.New(), errors.New("first")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("untold: %v", err)
	}
	o.Tell(first)
	o.Tell(nil)
	if err := o.Wait(t.Context()); !errors.Is(err, first) {
		t.Errorf("told: %v", err)
	}
}
