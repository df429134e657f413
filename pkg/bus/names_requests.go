package bus

// Request subjects, served through the NATS services framework. The messages are
// in proto/pairgate/v1/api.proto: SubjectInstancesCreate takes a
// CreateInstanceRequest and answers a CreateInstanceReply, and so on.
const (
	SubjectInstancesCreate = prefix + "instances.create"
	SubjectInstancesGet    = prefix + "instances.get"
	SubjectInstancesList   = prefix + "instances.list"
	SubjectInstancesUpdate = prefix + "instances.update"
	SubjectInstancesDelete = prefix + "instances.delete"

	SubjectInstancesConnect     = prefix + "instances.connect"
	SubjectInstancesLogout      = prefix + "instances.logout"
	SubjectInstancesRestart     = prefix + "instances.restart"
	SubjectInstancesPassword    = prefix + "instances.password"
	SubjectInstancesPasskey     = prefix + "instances.passkey"
	SubjectInstancesRotateToken = prefix + "instances.rotate-token"
	// SubjectInstancesResolveToken is for gateways that do not know a token: the
	// registry's answer decides between 401 and a follower that lags.
	SubjectInstancesResolveToken = prefix + "instances.resolve-token"
	// SubjectInstancesReveal is for gateways whose dialects show secrets again; nobody
	// else may ask.
	SubjectInstancesReveal = prefix + "instances.reveal"

	SubjectSettingsGet    = prefix + "settings.get"
	SubjectSettingsUpdate = prefix + "settings.update"

	SubjectQRGet    = prefix + "qr.get"
	SubjectQRRender = prefix + "qr.render"

	SubjectWebhooksCreate     = prefix + "webhooks.create"
	SubjectWebhooksList       = prefix + "webhooks.list"
	SubjectWebhooksUpdate     = prefix + "webhooks.update"
	SubjectWebhooksDelete     = prefix + "webhooks.delete"
	SubjectWebhooksTest       = prefix + "webhooks.test"
	SubjectWebhooksDeliveries = prefix + "webhooks.deliveries"
	SubjectWebhooksRedeliver  = prefix + "webhooks.redeliver"
	SubjectWebhooksReplay     = prefix + "webhooks.replay"
)

// RequestSubjects lists every request subject of the contract.
func RequestSubjects() []string {
	return []string{
		SubjectInstancesCreate, SubjectInstancesGet, SubjectInstancesList, SubjectInstancesUpdate, SubjectInstancesDelete,
		SubjectInstancesConnect, SubjectInstancesLogout, SubjectInstancesRestart, SubjectInstancesPassword,
		SubjectInstancesPasskey, SubjectInstancesRotateToken, SubjectInstancesResolveToken, SubjectInstancesReveal,
		SubjectSettingsGet, SubjectSettingsUpdate, SubjectQRGet, SubjectQRRender,
		SubjectWebhooksCreate, SubjectWebhooksList, SubjectWebhooksUpdate, SubjectWebhooksDelete,
		SubjectWebhooksTest, SubjectWebhooksDeliveries, SubjectWebhooksRedeliver, SubjectWebhooksReplay,
	}
}
