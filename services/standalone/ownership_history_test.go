package standalone_test

import (
	"fmt"
	"sync"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
	pb "pairgate.dev/proto/pairgate/v1"
)

// history judges EVENTS, message after message in the order of the stream. What
// it demands holds whatever happens to workers; none of it depends on time.
//
// Of ownership: an event of a worker carries, as its epoch, the sequence of the
// last owner record of its partition, and that record is not a released one. It
// follows that epochs never go back and that events of two owners never
// interleave. Of sessions: attempts never go back, a code is shown only while its
// pairing lasts, a new owner tells of an instance in the way that was promised,
// and who was linked is never shown a code again.
type history struct {
	mu sync.Mutex
	// last is the sequence of the last message, and messages their number.
	last, messages uint64
	owners         map[instance.Partition]ownerRecord
	records        uint64
	instances      map[instance.ID]*told
	// ids are those of all events: the same one twice would be a write that was repeated by mistake.
	ids    map[string]uint64
	faults []string
}

// ownerRecord is an owner record with its place in the stream.
type ownerRecord struct {
	lease.Owner
	sequence uint64
}

// told is what the stream has told of an instance so far.
type told struct {
	status *pb.Status
	// code is the last one shown; nil when it was withdrawn.
	code *pb.Qr
	// epoch, attempt and codes are the highest so far, codes within the attempt.
	epoch, attempt, codes uint64
	// owners is under how many epochs a status was told.
	owners int
}

func newHistory() *history {
	return &history{owners: map[instance.Partition]ownerRecord{}, instances: map[instance.ID]*told{}, ids: map[string]uint64{}}
}

// observe takes the next message of the stream.
func (h *history) observe(sequence uint64, subject string, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if sequence <= h.last {
		h.fault(sequence, "came after %d", h.last)
	}
	h.last = sequence
	h.messages++
	if p, ok := bus.ParseOwnerSubject(subject); ok {
		h.owner(sequence, p, data)
		return
	}
	id, kind, ok := bus.ParseEventSubject(subject)
	if !ok {
		h.fault(sequence, "subject %s", subject)
		return
	}
	e, err := bus.DecodeEvent(data)
	if err != nil {
		h.fault(sequence, "%v", err)
		return
	}
	if before, twice := h.ids[e.GetId()]; twice {
		h.fault(sequence, "is event %d again", before)
	}
	h.ids[e.GetId()] = sequence
	switch kind {
	case instance.KindStatus, instance.KindCode, instance.KindPairingCode, instance.KindPasskey:
		h.event(sequence, id, kind, e)
	default:
		if e.GetEpoch() != 0 {
			h.fault(sequence, "%s carries epoch %d, but no worker wrote it", kind, e.GetEpoch())
		}
	}
}

// fault notes what is wrong; the first few say enough.
func (h *history) fault(sequence uint64, format string, args ...any) {
	if len(h.faults) < 20 {
		h.faults = append(h.faults, fmt.Sprintf("message %d: ", sequence)+fmt.Sprintf(format, args...))
	}
}

func (h *history) owner(sequence uint64, p instance.Partition, data []byte) {
	o, err := lease.ParseOwner(data)
	if err != nil {
		h.fault(sequence, "%v", err)
		return
	}
	before, had := h.owners[p]
	if o.Released && (!had || before.Released || before.Worker != o.Worker || before.Nonce != o.Nonce) {
		h.fault(sequence, "partition %v is released by who does not own it", p)
	}
	h.owners[p] = ownerRecord{Owner: o, sequence: sequence}
	h.records++
}

func (h *history) event(sequence uint64, id instance.ID, kind instance.Kind, e *pb.Event) {
	p := id.Partition()
	switch o, owned := h.owners[p]; {
	case !owned:
		h.fault(sequence, "%s in partition %v, which nobody owns", kind, p)
	case o.Released:
		h.fault(sequence, "%s in partition %v, which %s has released", kind, p, o.Worker)
	case e.GetEpoch() != o.sequence:
		h.fault(sequence, "%s under epoch %d in partition %v, whose last owner record is %d", kind, e.GetEpoch(), p, o.sequence)
	}
	t := h.instances[id]
	if t == nil {
		t = &told{}
		h.instances[id] = t
	}
	if e.GetEpoch() < t.epoch {
		h.fault(sequence, "%s of %s goes back from epoch %d to %d", kind, id, t.epoch, e.GetEpoch())
	}
	if e.GetAttempt() < t.attempt {
		h.fault(sequence, "%s of %s goes back from attempt %d to %d", kind, id, t.attempt, e.GetAttempt())
	}
	t.epoch = max(t.epoch, e.GetEpoch())
	if e.GetAttempt() > t.attempt {
		t.attempt, t.codes = e.GetAttempt(), 0
	}
	switch kind {
	case instance.KindStatus:
		h.status(sequence, id, t, e)
	case instance.KindCode:
		h.code(sequence, id, t, e)
	}
}

func (h *history) status(sequence uint64, id instance.ID, t *told, e *pb.Event) {
	before, now := t.status, e.GetStatus()
	if now.GetEpoch() != e.GetEpoch() || now.GetAttempt() != e.GetAttempt() {
		h.fault(sequence, "a status of %s contradicts its event", id)
	}
	if now.GetObservedRequest() < before.GetObservedRequest() {
		h.fault(sequence, "%s has forgotten request %d", id, before.GetObservedRequest())
	}
	if before == nil || before.GetEpoch() != now.GetEpoch() {
		t.owners++
		if before != nil && before.GetObservedRequest() == now.GetObservedRequest() {
			h.takenOver(sequence, id, before, now)
		}
	}
	if t.code != nil && now.GetPhase() != string(instance.Pairing) {
		h.fault(sequence, "%s is %s with its code still shown", id, now.GetPhase())
	}
	t.status = now
}

// takenOver judges the first status of a new owner, where no command had come in between.
func (h *history) takenOver(sequence uint64, id instance.ID, before, now *pb.Status) {
	lost := now.GetReason() == string(instance.ReasonWorkerLost)
	switch {
	case before.GetAccount() != nil:
		if now.GetPhase() != string(instance.Offline) || !lost || now.GetAttempt() != before.GetAttempt() || now.GetAccount() == nil {
			h.fault(sequence, "%s was linked, and its new owner says %s, %s, attempt %d after %d", id,
				now.GetPhase(), now.GetReason(), now.GetAttempt(), before.GetAttempt())
		}
	case instance.Phase(before.GetPhase()).Window():
		if now.GetPhase() != string(instance.Connecting) || !lost || now.GetAttempt() != before.GetAttempt()+1 {
			h.fault(sequence, "%s had a window open, and its new owner says %s, %s, attempt %d after %d", id,
				now.GetPhase(), now.GetReason(), now.GetAttempt(), before.GetAttempt())
		}
	case now.GetPhase() != before.GetPhase():
		h.fault(sequence, "%s was %s, and its new owner says %s", id, before.GetPhase(), now.GetPhase())
	}
}

func (h *history) code(sequence uint64, id instance.ID, t *told, e *pb.Event) {
	code := e.GetCode()
	if code.GetAttempt() != e.GetAttempt() {
		h.fault(sequence, "a code of %s contradicts its event", id)
	}
	if code.GetCode() == "" {
		t.code = nil
		return
	}
	s := t.status
	switch {
	case s.GetPhase() != string(instance.Pairing) || s.GetAttempt() != code.GetAttempt() || s.GetEpoch() != e.GetEpoch():
		h.fault(sequence, "%s shows a code of attempt %d, epoch %d, while it is %s with attempt %d, epoch %d", id,
			code.GetAttempt(), e.GetEpoch(), s.GetPhase(), s.GetAttempt(), s.GetEpoch())
	case s.GetAccount() != nil:
		h.fault(sequence, "%s is linked and shows a code", id)
	case code.GetSequence() <= t.codes:
		h.fault(sequence, "%s shows code %d after %d of the same attempt", id, code.GetSequence(), t.codes)
	}
	t.code, t.codes = code, max(t.codes, code.GetSequence())
}
