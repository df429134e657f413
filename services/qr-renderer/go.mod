module pairgate.dev/services/qr-renderer

go 1.26.0

require (
	github.com/makiuchi-d/gozxing v0.1.1
	github.com/skip2/go-qrcode v0.0.0-20200617195104-da1b6568686e
	pairgate.dev/pkg v0.0.0
)

require (
	golang.org/x/text v0.3.7 // indirect
	golang.org/x/xerrors v0.0.0-20200804184101-5ec99f83aff1 // indirect
)

replace pairgate.dev/proto => ../../proto

replace pairgate.dev/pkg => ../../pkg
