package standalone_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// found returns the faults so far.
func (h *history) found() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.faults)
}

// reached says whether the stream was read up to the sequence.
func (h *history) reached(sequence uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last < sequence {
		return fmt.Errorf("read up to %d of %d", h.last, sequence)
	}
	return nil
}

// steady returns nil when every instance has what it should have under the epoch
// of its present owner, which is one of the workers.
func (h *history) steady(ids []instance.ID, linked map[instance.ID]bool, workers []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.faults) > 0 {
		return nil // Whoever waits fails at once with what was found.
	}
	for p := range instance.Partition(instance.Partitions) {
		if o := h.owners[p]; o.Released || !slices.Contains(workers, o.Worker) {
			return fmt.Errorf("partition %v is owned by %q (released: %v)", p, o.Worker, o.Released)
		}
	}
	for _, id := range ids {
		t, epoch := h.instances[id], h.owners[id.Partition()].sequence
		switch {
		case t == nil:
			return fmt.Errorf("nothing was told of %s", id)
		case t.status.GetEpoch() != epoch:
			return fmt.Errorf("%s has a status of epoch %d, and its owner has %d", id, t.status.GetEpoch(), epoch)
		case linked[id] && t.status.GetPhase() != string(instance.Online):
			return fmt.Errorf("%s is linked and %s (%s)", id, t.status.GetPhase(), t.status.GetReason())
		case !linked[id] && (t.status.GetPhase() != string(instance.Pairing) || t.code == nil || t.code.GetAttempt() != t.status.GetAttempt()):
			return fmt.Errorf("%s is %s (%s) and shows no code of attempt %d", id, t.status.GetPhase(), t.status.GetReason(), t.status.GetAttempt())
		}
	}
	return nil
}

// held is what is known of an instance at one moment.
type held struct {
	owner  string
	status *pb.Status
	owners int
}

// snapshot returns what is known of each instance now.
func (h *history) snapshot(ids []instance.ID) map[instance.ID]held {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[instance.ID]held{}
	for _, id := range ids {
		t := h.instances[id]
		all[id] = held{owner: h.owners[id.Partition()].Worker, status: t.status, owners: t.owners}
	}
	return all
}

// awaitCode waits until the instance shows a code other than this one.
func (h *history) awaitCode(ctx context.Context, id instance.ID, other string) (string, error) {
	for {
		h.mu.Lock()
		var code string
		if t := h.instances[id]; t != nil && t.code != nil {
			code = t.code.GetCode()
		}
		h.mu.Unlock()
		if code != "" && code != other {
			return code, nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return "", fmt.Errorf("%s shows no new code: %w", id, ctx.Err())
		}
	}
}

// size returns how many messages were judged, and how many of them were owner records.
func (h *history) size() (messages, records uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.messages, h.records
}
