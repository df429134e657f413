package whatsapp

import "go.mau.fi/libsignal/logger"

// The signal library makes its logger when it first has something to say, without a
// lock: it is made before sessions run that could race for it.
func init() { logger.Debug() }
