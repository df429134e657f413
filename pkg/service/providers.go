package service

import "pairgate.dev/pkg/instance"

// Providers returns the messengers of an installation: those of
// PAIRGATE_PROVIDERS, or else WhatsApp, and the simulated one where
// PAIRGATE_SIMULATED_ENDPOINT says where it is. The registry offers them and the
// workers run them, which is why there is one rule for both.
func Providers(configured []instance.Provider, simulatedEndpoint string) []instance.Provider {
	switch {
	case len(configured) > 0:
		return configured
	case simulatedEndpoint == "":
		return []instance.Provider{instance.WhatsApp}
	default:
		return []instance.Provider{instance.WhatsApp, instance.Simulated}
	}
}
