package native

import (
	"sync"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

// keptStatuses bounds the encoded statuses that are kept, some 500 bytes each.
const keptStatuses = 8192

// statuses keeps statuses as they were last encoded: callers that poll ask for the
// same one again and again, and encoding it is the most of what such a request
// costs. An entry is good for one message of one stream only, so it is never stale.
type statuses struct {
	mu   sync.RWMutex
	kept map[instance.ID]encodedStatus
}

type encodedStatus struct {
	incarnation string
	sequence    uint64
	body        []byte
}

// encode returns the status of a snapshot that is known, as JSON that must not be
// changed.
func (s *statuses) encode(snap bus.Snapshot, incarnation string) ([]byte, error) {
	if snap.Passkey != nil {
		// It is a message of its own and lives for a time of its own.
		return bus.EncodeJSON(shownStatus(snap, nil))
	}
	s.mu.RLock()
	have, ok := s.kept[snap.ID]
	s.mu.RUnlock()
	if ok && have.sequence == snap.StatusSequence && have.incarnation == incarnation {
		return have.body, nil
	}
	body, err := bus.EncodeJSON(shownStatus(snap, nil))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil || len(s.kept) >= keptStatuses {
		s.kept = map[instance.ID]encodedStatus{}
	}
	s.kept[snap.ID] = encodedStatus{incarnation, snap.StatusSequence, body}
	return body, nil
}
