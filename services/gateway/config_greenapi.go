package gateway

import (
	"context"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/services/gateway/internal/client"
	"pairgate.dev/services/gateway/internal/greenapi"
	"pairgate.dev/services/gateway/internal/web"
)

// GreenAPIConfig is what an operator sets for clients of GREEN-API.
type GreenAPIConfig struct {
	PartnerToken seal.Secret `env:"PAIRGATE_PARTNER_TOKEN" desc:"Partner token of GREEN-API's partner methods, which make and delete instances; they refuse everybody when absent."`
	Linked       string      `env:"PAIRGATE_GREEN_API_LINKED" envDefault:"alreadyLogged" oneof:"alreadyLogged already_registered" desc:"How GREEN-API's method qr says that a MAX instance is linked already: its documentation has both."`
	Limits       bool        `env:"PAIRGATE_GREEN_API_LIMITS" envDefault:"true" desc:"Whether GREEN-API's limits of requests per second, instance and method hold. Each gateway process counts for itself."`
}

// greenAPI makes the face for clients of GREEN-API.
func greenAPI(cfg Config, conn *bus.Conn, c *client.Client, stopping context.Context) *greenapi.API {
	return greenapi.New(greenapi.Options{Client: c, Queue: client.NewNotifications(conn), PartnerToken: cfg.GreenAPI.PartnerToken,
		LinkedMAX: cfg.GreenAPI.Linked, Unlimited: !cfg.GreenAPI.Limits, Misses: web.NewLimiter(cfg.RateLimit), Stopping: stopping})
}
