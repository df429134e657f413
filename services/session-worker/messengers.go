package worker

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/service"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/simulated"
	"pairgate.dev/services/session-worker/driver/whatsapp"
	"pairgate.dev/services/session-worker/driver/whatsapp/keys"
)

// vaultStore is the id of the store that sessions keep their keys in where there
// is no WhatsApp: the bucket VAULT, which every worker of a deployment shares.
const vaultStore = "vault"

// messengers are the drivers of a worker, and the id of the store that their
// sessions keep keys in: partitions move among workers with the same one only.
type messengers struct {
	drivers  map[instance.Provider]driver.Driver
	keyStore string
	keys     *keys.Store // nil without WhatsApp
}

// openMessengers opens the drivers of the providers that the configuration names.
func openMessengers(ctx context.Context, cfg Config, deps Deps, secrets driver.Vault) (_ *messengers, err error) {
	m := &messengers{drivers: map[instance.Provider]driver.Driver{}, keyStore: vaultStore}
	if deps.Drivers != nil {
		for _, d := range deps.Drivers {
			m.drivers[d.Provider()] = d
		}
		return m, nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	providers := cfg.providers()
	if slices.Contains(providers, instance.WhatsApp) {
		if err := m.openWhatsApp(ctx, cfg, deps); err != nil {
			return nil, err
		}
	}
	if slices.Contains(providers, instance.Simulated) {
		d, err := simulated.New(simulated.Options{Endpoint: cfg.SimulatedEndpoint, Vault: secrets})
		if err != nil {
			return nil, fmt.Errorf("PAIRGATE_SIMULATED_ENDPOINT: %w", err)
		}
		deps.Log.Warn("the provider simulated is on: its instances are linked to no real messenger")
		m.drivers[instance.Simulated] = d
	}
	return m, nil
}

func (m *messengers) openWhatsApp(ctx context.Context, cfg Config, deps Deps) (err error) {
	if m.keys, err = openKeys(ctx, cfg, deps); err != nil {
		return fmt.Errorf("PAIRGATE_WHATSAPP_DB: %w", err)
	}
	m.keyStore = m.keys.ID()
	if !m.keys.Shared() {
		// A copy of the directory has the same id in its file, and is another store all the same.
		m.keyStore += " of " + cfg.WorkerID
	}
	root, err := cfg.noiseRoot()
	if err != nil {
		return fmt.Errorf("PAIRGATE_WHATSAPP_NOISE_ROOT: %w", err)
	}
	d, err := whatsapp.New(whatsapp.Options{Keys: m.keys, Endpoint: cfg.WhatsAppEndpoint, NoiseRoot: root,
		DeviceName: string(cfg.WhatsAppClient.Name), Platform: string(cfg.WhatsAppClient.Browser), Log: deps.Log, Metrics: deps.Metrics})
	if err != nil {
		return err
	}
	m.drivers[instance.WhatsApp] = d
	return nil
}

// databaseFile is the key store of a worker that has no PostgreSQL.
const databaseFile = "whatsapp.db"

// openKeys opens the key store. PostgreSQL may be starting, or be away for a
// moment, as NATS may: it is asked until it answers.
func openKeys(ctx context.Context, cfg Config, deps Deps) (*keys.Store, error) {
	options := keys.Options{DSN: cfg.WhatsAppDB.Reveal(), Log: deps.Log}
	if options.DSN == "" {
		if deps.DataDir == "" {
			return nil, errors.New("without a database there must be a data directory")
		}
		options.DSN = filepath.Join(deps.DataDir, databaseFile)
	}
	for pause := time.Second; ; pause = min(2*pause, 10*time.Second) {
		store, err := keys.Open(ctx, options)
		if err == nil {
			deps.Health.Set(service.KeyStore, nil)
			deps.Health.Register(service.KeyStore, answers(store))
		}
		if !errors.Is(err, keys.ErrUnreachable) {
			return store, err
		}
		deps.Health.Set(service.KeyStore, errSilentStore)
		deps.Log.Warn("the key store cannot be reached; trying again", zap.Duration("after", pause), zap.Error(err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// errSilentStore is all that the readiness tells; the log says more.
var errSilentStore = errors.New("the key store does not answer")

// answers is the readiness of the key store. Sessions that are online go on
// without it for a while, new ones cannot begin.
func answers(store *keys.Store) func(context.Context) error {
	return func(ctx context.Context) error {
		if store.Ping(ctx) != nil {
			return errSilentStore
		}
		return nil
	}
}

// close closes the drivers, and the key store after them.
func (m *messengers) close() error {
	var errs []error
	for _, d := range m.drivers {
		errs = append(errs, d.Close())
	}
	if m.keys != nil {
		errs = append(errs, m.keys.Close())
	}
	return errors.Join(errs...)
}
