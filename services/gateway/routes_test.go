package gateway

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	spec "pairgate.dev/proto"

	"pairgate.dev/pkg/service"
	"pairgate.dev/services/gateway/internal/native"
	"pairgate.dev/services/gateway/internal/web"
)

var pathOrMethod = regexp.MustCompile(`(?m)^  (/\S*):$|^    (get|put|post|patch|delete):$`)

// TestEveryRouteIsDescribed compares the routes with openapi.yaml, both ways. What
// they answer is compared on a running Pairgate, by the tests of the one-process program.
func TestEveryRouteIsDescribed(t *testing.T) {
	router := web.NewRouter(zap.NewNop(), nil)
	api := native.New(native.Options{})
	api.Register(router)
	operations(router, api, Deps{Gatherer: prometheus.NewRegistry(), ProcessHealth: service.NewHealth()})

	var described []string
	path := ""
	for _, found := range pathOrMethod.FindAllStringSubmatch(string(spec.OpenAPI), -1) {
		if found[1] != "" {
			path = found[1]
			continue
		}
		described = append(described, strings.ToUpper(found[2])+" "+path)
	}
	routes := router.Routes()
	for _, r := range routes {
		if !slices.Contains(described, r) {
			t.Errorf("openapi.yaml does not have %s", r)
		}
	}
	for _, r := range described {
		if !slices.Contains(routes, r) {
			t.Errorf("there is no route %s", r)
		}
	}
}
