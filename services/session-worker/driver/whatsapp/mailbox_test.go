package whatsapp

import (
	"testing"
	"testing/synctest"
)

func TestMailboxKeepsTheOrderAndNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMailbox()
		const n = 1000
		go func() {
			for i := range n {
				b.put(mail{event: i})
			}
		}()
		synctest.Wait() // The sender has ended, though nobody reads.
		<-b.ready
		got := b.take()
		if len(got) != n {
			t.Fatalf("%d pieces of mail, want %d", len(got), n)
		}
		for i, m := range got {
			if m.event != i {
				t.Fatalf("number %d is %v", i, m.event)
			}
		}
		b.put(mail{event: "late"})
		b.close()
		b.put(mail{event: "too late"})
		if len(b.take()) != 0 {
			t.Error("mail after the end")
		}
	})
}
