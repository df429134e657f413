package standalone_test

import (
	"slices"
	"testing"

	"pairgate.dev/pkg/service"
	"pairgate.dev/services/gateway"
	registry "pairgate.dev/services/instance-registry"
	renderer "pairgate.dev/services/qr-renderer"
	worker "pairgate.dev/services/session-worker"
	"pairgate.dev/services/standalone"
	"pairgate.dev/services/standalone/internal/cli"
	dispatcher "pairgate.dev/services/webhook-dispatcher"
)

// TestEveryVariableIsKnownToEveryProgram compares the list that tells a misspelt
// variable from a neighbour's with what the programs really read.
func TestEveryVariableIsKnownToEveryProgram(t *testing.T) {
	read := service.KnownVariables(service.Common{}, standalone.Own{}, registry.Config{}, worker.Config{}, renderer.Config{},
		dispatcher.Config{}, gateway.Config{}, cli.Own{})
	listed := service.AllVariables()
	for _, name := range read {
		if !slices.Contains(listed, name) {
			t.Errorf("%s is read, but not in the list of service.AllVariables", name)
		}
	}
	for _, name := range listed {
		if !slices.Contains(read, name) {
			t.Errorf("%s is in the list of service.AllVariables, but nothing reads it", name)
		}
	}
}
