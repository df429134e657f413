package codes

import (
	"strconv"
	"testing"
)

// Decision: codes that are over are told from unknown ones, but not for ever.
func TestDeadCodesAreBounded(t *testing.T) {
	x := NewIndex[int]()
	var first Digest
	for i := range keepDead + 10 {
		d := Of(strconv.Itoa(i))
		if i == 0 {
			first = d
		}
		x.Bury(d)
		x.Bury(d)
	}
	if len(x.dead) > keepDead || len(x.order) > keepDead {
		t.Fatalf("%d dead codes, %d in order", len(x.dead), len(x.order))
	}
	if x.Buried(first) {
		t.Error("the oldest is still remembered")
	}
}
