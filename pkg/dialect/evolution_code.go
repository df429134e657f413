package dialect

import "pairgate.dev/pkg/instance"

// EvolutionCloseCode returns the statusReason, and disconnectionReasonCode, that
// Evolution API has for the reason of a session that has ended; 0 for a reason that
// ends none. The codes are those of Baileys: 401 logged out, 402 banned for a time,
// 403 banned, 405 client version refused, 408 timed out, 428 connection closed, 440
// replaced, 500 keys unusable, 503 unavailable.
func EvolutionCloseCode(reason instance.Reason) int { return evolutionCodes[reason] }

var evolutionCodes = map[instance.Reason]int{
	instance.ReasonLoggedOutByUser: 401, instance.ReasonLoggedOutOnPhone: 401,
	instance.ReasonWrongPhone: 401, instance.ReasonPairingRefused: 401,
	instance.ReasonRestricted: 402, instance.ReasonBanned: 403, instance.ReasonLoginRefused: 403,
	instance.ReasonClientOutdated: 405,
	instance.ReasonUnreachable:    408, instance.ReasonKeepaliveTimeout: 408,
	instance.ReasonQRTimeout: 428, instance.ReasonConnectionClosed: 428,
	instance.ReasonReplaced: 440, instance.ReasonKeysMissing: 500, instance.ReasonInternal: 500,
	instance.ReasonThrottled: 503,
}
