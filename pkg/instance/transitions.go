package instance

// transitions is the table of allowed changes of phase. A phase that lists
// itself may change its reason, detail or until without ending.
var transitions = map[Phase][]Phase{
	Idle:       {Idle, Connecting, Deleted},
	Connecting: {Connecting, Pairing, PasswordRequired, PasskeyRequired, Syncing, Offline, Idle, Blocked, Outdated, Deleted},
	Pairing:    {Connecting, PasswordRequired, PasskeyRequired, Syncing, Offline, Idle, Blocked, Outdated, Deleted},
	PasswordRequired: {PasswordRequired, Connecting, PasskeyRequired, Syncing, Offline, Idle, Blocked, Outdated,
		Deleted},
	PasskeyRequired: {PasskeyRequired, Connecting, PasswordRequired, Syncing, Offline, Idle, Blocked, Outdated, Deleted},
	Syncing:         {Connecting, PasswordRequired, PasskeyRequired, Online, Suspended, Offline, Idle, Blocked, Outdated, Deleted},
	Online:          {Suspended, Offline, Idle, Blocked, Outdated, Deleted},
	Offline:         {Offline, Online, Suspended, Idle, Blocked, Outdated, Deleted},
	Suspended:       {Suspended, Online, Offline, Idle, Blocked, Outdated, Deleted},
	Blocked:         {Blocked, Connecting, Online, Suspended, Offline, Idle, Outdated, Deleted},
	Outdated:        {Outdated, Connecting, Online, Suspended, Offline, Idle, Blocked, Deleted},
	Deleted:         {},
}

// Allowed says whether a status of phase from may be followed by one of phase
// to. Publishing the same status anew, as a new owner does, is not a transition.
func Allowed(from, to Phase) bool {
	for _, p := range transitions[from] {
		if p == to {
			return true
		}
	}
	return false
}

// OnlyUserLeaves says whether nothing but a user's command may end what the
// status tells: an unlinked instance, a block without an end, a link that
// another connection took or whose keys are missing.
func OnlyUserLeaves(s Status) bool {
	switch s.Phase {
	case Idle:
		return true
	case Blocked:
		return s.Until.IsZero()
	case Offline:
		return s.Reason == ReasonReplaced || s.Reason == ReasonKeysMissing
	}
	return false
}
