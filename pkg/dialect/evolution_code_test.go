package dialect_test

import (
	"testing"

	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
)

func TestEvolutionCloseCodes(t *testing.T) {
	for reason, want := range map[instance.Reason]int{
		instance.ReasonLoggedOutOnPhone: 401, instance.ReasonBanned: 403, instance.ReasonClientOutdated: 405,
		instance.ReasonConnectionClosed: 428, instance.ReasonReplaced: 440,
		instance.ReasonLinked: 0, instance.ReasonCreated: 0, instance.ReasonQRIssued: 0,
	} {
		if got := dialect.EvolutionCloseCode(reason); got != want {
			t.Errorf("%s is %d, want %d", reason, got, want)
		}
	}
}
