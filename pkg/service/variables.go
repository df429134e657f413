package service

import (
	"fmt"
	"slices"
	"strings"
)

// Prefix begins the name of every variable of ours.
const Prefix = "PAIRGATE_"

// allVariables is the one list of what this version reads, by whichever program.
// Each program has its own configuration only, yet all of them share one
// environment (a compose file, a ConfigMap), so that each must know the names of
// the others to tell a misspelt variable from a neighbour's. A test of the
// one-process program compares the list with the struct tags of every service.
var allVariables = []string{
	"PAIRGATE_ADMIN_KEY",
	"PAIRGATE_CORS_ORIGINS",
	"PAIRGATE_DATA_DIR",
	"PAIRGATE_EVOLUTION_CLIENT_NAME",
	"PAIRGATE_EVOLUTION_CORS_ORIGINS",
	"PAIRGATE_EVOLUTION_DISABLE_MANAGER",
	"PAIRGATE_EVOLUTION_EXPOSE_TOKENS",
	"PAIRGATE_EVOLUTION_HIDE_TOKENS",
	"PAIRGATE_EVOLUTION_QRCODE_COLOR",
	"PAIRGATE_EVOLUTION_QRCODE_LIMIT",
	"PAIRGATE_EVOLUTION_WEBHOOK_EVENTS_CONNECTION_UPDATE",
	"PAIRGATE_EVOLUTION_WEBHOOK_EVENTS_INSTANCE_CREATE",
	"PAIRGATE_EVOLUTION_WEBHOOK_EVENTS_INSTANCE_DELETE",
	"PAIRGATE_EVOLUTION_WEBHOOK_EVENTS_LOGOUT_INSTANCE",
	"PAIRGATE_EVOLUTION_WEBHOOK_EVENTS_QRCODE_UPDATED",
	"PAIRGATE_EVOLUTION_WEBHOOK_EVENTS_REMOVE_INSTANCE",
	"PAIRGATE_EVOLUTION_WEBHOOK_EVENTS_STATUS_INSTANCE",
	"PAIRGATE_EVOLUTION_WEBHOOK_EXPONENTIAL_BACKOFF",
	"PAIRGATE_EVOLUTION_WEBHOOK_GLOBAL_BY_EVENTS",
	"PAIRGATE_EVOLUTION_WEBHOOK_GLOBAL_ENABLED",
	"PAIRGATE_EVOLUTION_WEBHOOK_GLOBAL_URL",
	"PAIRGATE_EVOLUTION_WEBHOOK_INITIAL_DELAY_SECONDS",
	"PAIRGATE_EVOLUTION_WEBHOOK_JITTER_FACTOR",
	"PAIRGATE_EVOLUTION_WEBHOOK_MAX_ATTEMPTS",
	"PAIRGATE_EVOLUTION_WEBHOOK_MAX_DELAY_SECONDS",
	"PAIRGATE_EVOLUTION_WEBHOOK_NON_RETRYABLE_STATUS_CODES",
	"PAIRGATE_EVOLUTION_WEBHOOK_TIMEOUT_MS",
	"PAIRGATE_GREEN_API_LIMITS",
	"PAIRGATE_GREEN_API_LINKED",
	"PAIRGATE_HTTP_ADDR",
	"PAIRGATE_LAB_CONTROL_ADDR",
	"PAIRGATE_LEASE_TTL",
	"PAIRGATE_LOG_FORMAT",
	"PAIRGATE_LOG_LEVEL",
	"PAIRGATE_MASTER_KEY",
	"PAIRGATE_METRICS_ADDR",
	"PAIRGATE_NATS_ADDR",
	"PAIRGATE_NATS_CA",
	"PAIRGATE_NATS_CERT",
	"PAIRGATE_NATS_CREDS",
	"PAIRGATE_NATS_KEY",
	"PAIRGATE_NATS_NKEY",
	"PAIRGATE_NATS_PASSWORD",
	"PAIRGATE_NATS_SYNC",
	"PAIRGATE_NATS_URL",
	"PAIRGATE_NATS_USER",
	"PAIRGATE_PARTNER_TOKEN",
	"PAIRGATE_PROVIDERS",
	"PAIRGATE_RATE_LIMIT",
	"PAIRGATE_REGISTRY_CLAIM_AGE",
	"PAIRGATE_REGISTRY_RETENTION",
	"PAIRGATE_REGISTRY_SWEEP_INTERVAL",
	"PAIRGATE_RENDERER_WORKERS",
	"PAIRGATE_REPLICAS",
	"PAIRGATE_SERVER_URL",
	"PAIRGATE_SIMULATED_ENDPOINT",
	"PAIRGATE_STREAMS",
	"PAIRGATE_STREAM_MAX_BYTES",
	"PAIRGATE_URL",
	"PAIRGATE_WEBHOOK_ALLOW",
	"PAIRGATE_WEBHOOK_CONCURRENCY",
	"PAIRGATE_WEBHOOK_MAX_AGE",
	"PAIRGATE_WEBHOOK_RETRY_SCHEDULE",
	"PAIRGATE_WEBHOOK_TIMEOUT",
	"PAIRGATE_WHATSAPP_BROWSER",
	"PAIRGATE_WHATSAPP_CLIENT",
	"PAIRGATE_WHATSAPP_DB",
	"PAIRGATE_WHATSAPP_ENDPOINT",
	"PAIRGATE_WHATSAPP_NOISE_ROOT",
	"PAIRGATE_WHATSAPP_VERSION",
	"PAIRGATE_WORKER_CAPACITY",
	"PAIRGATE_WORKER_ID",
}

// AllVariables returns the names of all variables that some program of this
// version reads, sorted. Names of other products that are read as aliases are
// not among them.
func AllVariables() []string { return slices.Clone(allVariables) }

// KnownVariables returns the names of the variables that configs (structs or
// pointers to structs) read, sorted, each once.
func KnownVariables(configs ...any) []string {
	var names []string
	for _, v := range Variables(configs...) {
		names = append(names, v.Name)
	}
	return names
}

// unknown names the variables in set that begin with [Prefix] and that neither
// the whole version nor this program (own) knows.
func unknown(set map[string]string, own []string) []BadVariable {
	known := slices.Concat(allVariables, own)
	var bad []BadVariable
	for name := range set {
		if !strings.HasPrefix(name, Prefix) || slices.Contains(known, name) || isServiceLink(name, set) {
			continue
		}
		message := "is not a variable of this version"
		if near := nearest(name, known); near != "" {
			message += fmt.Sprintf("; did you mean %s?", near)
		}
		bad = append(bad, BadVariable{Name: name, Message: message})
	}
	return bad
}

// isServiceLink tells variables that Kubernetes sets for a Service called
// pairgate-… (PAIRGATE_GATEWAY_SERVICE_HOST, PAIRGATE_GATEWAY_PORT_80_TCP, …)
// from ours: nobody wrote them, so nobody can correct them.
func isServiceLink(name string, set map[string]string) bool {
	for _, part := range []string{"_SERVICE_HOST", "_SERVICE_PORT", "_PORT"} {
		for i := strings.Index(name, part); i >= 0; {
			if _, ok := set[name[:i]+"_SERVICE_HOST"]; ok && set["KUBERNETES_SERVICE_HOST"] != "" {
				return true
			}
			next := strings.Index(name[i+1:], part)
			if next < 0 {
				break
			}
			i += 1 + next
		}
	}
	return false
}

// nearest returns the name at the smallest edit distance, or "" when even that
// one is too far away to be what was meant.
func nearest(name string, names []string) string {
	best, bestDistance := "", 1+max(2, (len(name)-len(Prefix))/3)
	for _, n := range names {
		if d := distance(name, n); d < bestDistance {
			best, bestDistance = n, d
		}
	}
	return best
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
