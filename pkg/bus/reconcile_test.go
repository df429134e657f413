package bus

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func TestReconcileNeverLosesAnything(t *testing.T) {
	base := Declaration(EnsureOptions{})[0] // EVENTS
	for name, tc := range map[string]struct {
		server  func(*jetstream.StreamConfig)
		setting string
		applied bool
	}{
		"SubjectMissingOnServer": {func(c *jetstream.StreamConfig) { c.Subjects = c.Subjects[:1] }, "subjects", true},
		"SubjectOnlyOnServer":    {func(c *jetstream.StreamConfig) { c.Subjects = append(slices.Clone(c.Subjects), "x") }, "subjects", false},
		"FewerBytes":             {func(c *jetstream.StreamConfig) { c.MaxBytes = 5 }, "max_bytes", true},
		"MoreBytes":              {func(c *jetstream.StreamConfig) { c.MaxBytes *= 2 }, "max_bytes", false},
		"UnlimitedBytes":         {func(c *jetstream.StreamConfig) { c.MaxBytes = -1 }, "max_bytes", false},
		"ShorterAge":             {func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, "max_age", true},
		"LongerAge":              {func(c *jetstream.StreamConfig) { c.MaxAge *= 2 }, "max_age", false},
		"NoAge":                  {func(c *jetstream.StreamConfig) { c.MaxAge = 0 }, "max_age", false},
		"LimitedMessages":        {func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 }, "max_msgs", true},
		"LessHistory":            {func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }, "max_msgs_per_subject", true},
		"MoreHistory":            {func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 100 }, "max_msgs_per_subject", false},
		"SmallMessages":          {func(c *jetstream.StreamConfig) { c.MaxMsgSize = 10 }, "max_msg_size", true},
		"FewConsumers":           {func(c *jetstream.StreamConfig) { c.MaxConsumers = 10 }, "max_consumers", true},
		"MoreReplicas":           {func(c *jetstream.StreamConfig) { c.Replicas = 3 }, "replicas", false},
		"ShortWindow":            {func(c *jetstream.StreamConfig) { c.Duplicates = time.Second }, "duplicate_window", true},
		"LongWindow":             {func(c *jetstream.StreamConfig) { c.Duplicates = time.Hour }, "duplicate_window", false},
		"DropsOld":               {func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }, "discard", true},
		"NoTTL":                  {func(c *jetstream.StreamConfig) { c.AllowMsgTTL = false }, "allow_msg_ttl", true},
		"DirectReads":            {func(c *jetstream.StreamConfig) { c.AllowDirect = true }, "allow_direct", true},
		"NoRePublish":            {func(c *jetstream.StreamConfig) { c.RePublish = nil }, "republish", true},
		"OtherRePublish":         {func(c *jetstream.StreamConfig) { c.RePublish = &jetstream.RePublish{Destination: "y.>"} }, "republish", true},
		"Description":            {func(c *jetstream.StreamConfig) { c.Description = "" }, "description", true},
		"Retention":              {func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy }, "retention", false},
		"Memory":                 {func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }, "storage", false},
		"DenyDelete":             {func(c *jetstream.StreamConfig) { c.DenyDelete = true }, "deny_delete", false},
		"MarkerTTL":              {func(c *jetstream.StreamConfig) { c.SubjectDeleteMarkerTTL = time.Hour }, "subject_delete_marker_ttl", false},
	} {
		t.Run(name, func(t *testing.T) {
			have := base
			tc.server(&have)
			next, diffs := reconcile(have, base)
			if len(diffs) != 1 || diffs[0].Setting != tc.setting || diffs[0].Applied != tc.applied || diffs[0].String() == "" {
				t.Fatalf("got %+v, want %s applied %v", diffs, tc.setting, tc.applied)
			}
			if same := fmt.Sprintf("%+v", next) == fmt.Sprintf("%+v", have); same == tc.applied {
				t.Errorf("next is the server's: %v", same)
			}
			if tc.applied {
				if _, again := reconcile(next, base); len(again) != 0 {
					t.Errorf("still different after applying: %v", again)
				}
			}
		})
	}
	if _, diffs := reconcile(base, base); len(diffs) != 0 {
		t.Errorf("equal ones differ: %v", diffs)
	}
}

func TestReconcileRaisesReplicas(t *testing.T) {
	next, diffs := reconcile(Declaration(EnsureOptions{})[0], Declaration(EnsureOptions{Replicas: 3})[0])
	if len(diffs) != 1 || !diffs[0].Applied || next.Replicas != 3 {
		t.Errorf("%+v", diffs)
	}
}
