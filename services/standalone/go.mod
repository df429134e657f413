module pairgate.dev/services/standalone

go 1.26.0

require (
	pairgate.dev/pkg v0.0.0
	pairgate.dev/proto v0.0.0
	pairgate.dev/services/gateway v0.0.0
	pairgate.dev/services/instance-registry v0.0.0
	pairgate.dev/services/lab v0.0.0
	pairgate.dev/services/qr-renderer v0.0.0
	pairgate.dev/services/session-worker v0.0.0
	pairgate.dev/services/webhook-dispatcher v0.0.0
)

replace pairgate.dev/proto => ../../proto

replace pairgate.dev/pkg => ../../pkg

replace pairgate.dev/services/instance-registry => ../instance-registry

replace pairgate.dev/services/session-worker => ../session-worker

replace pairgate.dev/services/qr-renderer => ../qr-renderer

replace pairgate.dev/services/webhook-dispatcher => ../webhook-dispatcher

replace pairgate.dev/services/gateway => ../gateway

replace pairgate.dev/services/lab => ../lab
