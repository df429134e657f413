package standalone

import (
	"net"
	"strconv"

	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
)

// secrets are what the program makes for itself where nothing is given, and
// keeps in the data directory (mode 0600).
type secrets struct {
	natsUser, natsPassword string
	// adminKeyFile is empty when the key was given.
	adminKeyFile string
}

// keepSecrets fills in the keys and the worker's id that the configuration does not give.
func keepSecrets(dir *service.DataDir, cfg *Config) (kept secrets, err error) {
	if cfg.Worker.MasterKey == "" {
		key, _, err := dir.Keep("master-key", func() string { return seal.NewMasterKey().Reveal() })
		if err != nil {
			return kept, err
		}
		cfg.Worker.MasterKey = seal.Secret(key)
	}
	cfg.Registry.MasterKey, cfg.Dispatcher.MasterKey = cfg.Worker.MasterKey, cfg.Worker.MasterKey
	if cfg.Gateway.AdminKey == "" {
		key, _, err := dir.Keep("admin-key", seal.NewToken)
		if err != nil {
			return kept, err
		}
		cfg.Gateway.AdminKey, kept.adminKeyFile = seal.Secret(key), dir.Path("admin-key")
	}
	if cfg.Worker.WorkerID == "" {
		if cfg.Worker.WorkerID, err = dir.WorkerID(); err != nil {
			return kept, err
		}
	}
	cfg.Dispatcher.WorkerID = cfg.Worker.WorkerID
	if kept.natsUser, _, err = dir.Keep("nats-user", func() string { return "pairgate" }); err != nil {
		return kept, err
	}
	kept.natsPassword, _, err = dir.Keep("nats-password", seal.NewToken)
	return kept, err
}

func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	number, err := strconv.ParseUint(text, 10, 16)
	return host, int(number), err
}
