package standalone

import (
	"testing"

	"go.uber.org/zap"

	"pairgate.dev/pkg/service"
)

// With the lab, the process is ready only while the lab's control address answers.
func TestReadyTellsOfTheLab(t *testing.T) {
	dir, err := service.OpenDataDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	cfg, err := Parse([]string{"PAIRGATE_LAB_CONTROL_ADDR=127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cfg: cfg, log: zap.NewNop(), health: service.NewHealth()}
	emulated, err := p.startLab(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if reasons := p.health.Reasons(t.Context()); len(reasons) != 0 {
		t.Fatalf("with the lab: %v", reasons)
	}
	if err := emulated.Close(); err != nil {
		t.Fatal(err)
	}
	if reasons := p.health.Reasons(t.Context()); len(reasons) != 1 || reasons[0].Name != service.Lab {
		t.Fatalf("without the lab: %v", reasons)
	}
}
