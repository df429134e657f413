package service_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pairgate.dev/pkg/service"
)

func waits(ctx context.Context) error { <-ctx.Done(); return nil }

func TestGroupDrainsWithoutErrorWhenAsked(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := service.Named{Name: "b", Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	stops := service.Named{Name: "c", Run: func(ctx context.Context) error { cancel(); return waits(ctx) }}
	if err := service.RunGroup(ctx, zap.NewNop(), service.Named{Name: "a", Run: waits}, cancelled, stops); err != nil {
		t.Error(err)
	}
}

func TestFirstFailureStopsTheOthersAndIsNamed(t *testing.T) {
	boom := errors.New("boom")
	for _, tt := range []struct {
		name string
		run  func(context.Context) error
		want string
		is   error
	}{
		{"error", func(context.Context) error { return boom }, "bad: boom", boom},
		{"return", func(context.Context) error { return nil }, "bad: stopped without being asked to", service.ErrStopped},
		{"panic", func(context.Context) error { panic("sesame") }, "bad: panic (string), see the log", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			core, logged := observer.New(zap.ErrorLevel)
			err := service.RunGroup(t.Context(), zap.New(core), service.Named{Name: "good", Run: waits}, service.Named{Name: "bad", Run: tt.run})
			if err == nil || err.Error() != tt.want || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("got %v", err)
			}
			if tt.name != "panic" {
				return
			}
			if _, ok := errors.AsType[*service.PanicError](err); !ok {
				t.Errorf("error is %T", err)
			}
			all := logged.All()
			if len(all) != 1 || !strings.Contains(string(all[0].ContextMap()["stack"].(string)), "group_test.go") {
				t.Errorf("the stack is not in the log: %v", all)
			}
		})
	}
}

func TestFailureWhileDrainingIsReported(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := service.RunGroup(ctx, zap.NewNop(), service.Named{Name: "a", Run: waits},
		service.Named{Name: "b", Run: func(ctx context.Context) error { <-ctx.Done(); return errors.New("could not hand over") }})
	if err == nil || err.Error() != "b: could not hand over" {
		t.Errorf("got %v", err)
	}
}
