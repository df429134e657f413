package gateway

import (
	"slices"
	"strings"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/gateway/internal/evolution"
	"pairgate.dev/services/gateway/internal/web"
)

// EvolutionConfig is what an operator sets for clients of Evolution API. That
// product's own names are read too.
type EvolutionConfig struct {
	QRLimit     int      `env:"PAIRGATE_EVOLUTION_QRCODE_LIMIT" alias:"QRCODE_LIMIT" envDefault:"30" check:"positive" desc:"Length of a pairing window that a client of Evolution API opens, in QR codes of 45 seconds."`
	QRColor     string   `env:"PAIRGATE_EVOLUTION_QRCODE_COLOR" alias:"QRCODE_COLOR" envDefault:"#198754" desc:"Colour of the QR codes of instances that a client of Evolution API makes, such as #198754."`
	ClientName  string   `env:"PAIRGATE_EVOLUTION_CLIENT_NAME" alias:"DATABASE_CONNECTION_CLIENT_NAME" envDefault:"evolution" desc:"What clients of Evolution API see as clientName."`
	HideTokens  bool     `env:"PAIRGATE_EVOLUTION_HIDE_TOKENS" envDefault:"false" desc:"Leave the tokens of instances out of fetchInstances, where Evolution API shows them whatever its own switch for it says."`
	HideManager bool     `env:"PAIRGATE_EVOLUTION_DISABLE_MANAGER" alias:"SERVER_DISABLE_MANAGER" envDefault:"false" desc:"Leave the manager out of the answer at / and do not lead /manager to the page."`
	Origins     []string `env:"PAIRGATE_EVOLUTION_CORS_ORIGINS" alias:"CORS_ORIGIN" envDefault:"*" desc:"Origins whose pages may use the routes of Evolution API from a browser, or * for all."`
	// Version is what the workers show; a gateway only tells it.
	Version string `env:"PAIRGATE_WHATSAPP_VERSION" alias:"CONFIG_SESSION_PHONE_VERSION" desc:"Client version of WhatsApp that the workers were given, shown as whatsappWebVersion where none was set at run time."`
}

// Check refuses what the face of Evolution API could not use.
func (c *EvolutionConfig) Check(bad func(variable, expected string)) {
	if c.QRLimit > evolution.MaxQRLimit {
		bad("PAIRGATE_EVOLUTION_QRCODE_LIMIT", "a whole number from 1 to 1920: no window is longer than a day")
	}
	var f instance.FieldErrors
	if instance.CheckQRStyle(&f, "", instance.QRStyle{Foreground: c.QRColor}); len(f) > 0 {
		bad("PAIRGATE_EVOLUTION_QRCODE_COLOR", "a dark colour such as #198754")
	}
	f = nil
	if instance.CheckWhatsAppVersion(&f, "", c.Version); len(f) > 0 {
		bad("PAIRGATE_WHATSAPP_VERSION", strings.TrimPrefix(f[0].Message, "must be "))
	}
	for i, o := range c.Origins {
		c.Origins[i] = strings.TrimSuffix(o, "/")
	}
	if slices.ContainsFunc(c.Origins, func(o string) bool { return !web.ValidOrigin(o) }) {
		bad("PAIRGATE_EVOLUTION_CORS_ORIGINS", wantedOrigins)
	}
}
