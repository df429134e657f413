module pairgate.dev/services/lab

go 1.26.0

require (
	pairgate.dev/pkg v0.0.0
	pairgate.dev/proto v0.0.0
)

replace pairgate.dev/proto => ../../proto

replace pairgate.dev/pkg => ../../pkg
