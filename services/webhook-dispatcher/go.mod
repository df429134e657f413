module pairgate.dev/services/webhook-dispatcher

go 1.26.0

require (
	pairgate.dev/pkg v0.0.0
	pairgate.dev/proto v0.0.0
)

require (
	code.dny.dev/ssrf v0.3.0 // indirect
	github.com/standard-webhooks/standard-webhooks/libraries v0.0.1 // indirect
)

replace pairgate.dev/proto => ../../proto

replace pairgate.dev/pkg => ../../pkg
