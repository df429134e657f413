package standalone_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"sigs.k8s.io/yaml"

	spec "pairgate.dev/proto"
	"pairgate.dev/services/standalone/internal/e2e"
)

// described is the HTTP API as openapi.yaml describes it, and what of it was tried.
type described struct {
	doc *openapi3.T
	// nats has the schemas of asyncapi.yaml.
	nats  openapi3.Schemas
	async asyncAPI
	tried map[string]bool // "GET /v1/instances 200"
}

func init() {
	for _, contentType := range []string{"text/event-stream", "image/svg+xml", "image/png"} {
		openapi3filter.RegisterBodyDecoder(contentType, openapi3filter.FileBodyDecoder)
	}
}

func describe(t *testing.T) *described {
	t.Helper()
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(spec.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
	async := readAsyncAPI(t)
	return &described{doc: doc, async: async, nats: natsSchemas(t, async), tried: map[string]bool{}}
}

// asyncAPI is asyncapi.yaml as far as tests look at it.
type asyncAPI struct {
	Channels map[string]struct {
		Address  string
		Messages map[string]reference
	}
	Operations map[string]struct {
		Reply struct{ Messages []reference }
	}
	Components struct{ Schemas map[string]any }
}

type reference struct {
	Ref string `json:"$ref"`
}

func readAsyncAPI(t *testing.T) (a asyncAPI) {
	t.Helper()
	if err := yaml.Unmarshal(spec.AsyncAPI, &a); err != nil {
		t.Fatalf("asyncapi.yaml: %v", err)
	}
	return a
}

// natsSchemas reads the schemas of asyncapi.yaml, which refer to those of openapi.yaml.
func natsSchemas(t *testing.T, async asyncAPI) openapi3.Schemas {
	t.Helper()
	body, err := json.Marshal(map[string]any{"openapi": "3.0.3", "info": map[string]any{"title": "NATS", "version": "1"},
		"paths": map[string]any{}, "components": map[string]any{"schemas": async.Components.Schemas}})
	if err != nil {
		t.Fatal(err)
	}
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true
	loader.ReadFromURIFunc = func(*openapi3.Loader, *url.URL) ([]byte, error) { return spec.OpenAPI, nil }
	doc, err := loader.LoadFromDataWithPath(body, &url.URL{Path: "asyncapi.json"})
	if err != nil {
		t.Fatalf("asyncapi.yaml: %v", err)
	}
	return doc.Components.Schemas
}

// operation is one operation of the description.
type operation struct {
	*openapi3.Operation
	method, path string
	item         *openapi3.PathItem
}

// name is how tests call the operation: "GET /v1/instances".
func (o operation) name() string { return o.method + " " + o.path }

// subject is that of the same operation on NATS, empty for none.
func (o operation) subject() string {
	subject, _ := o.Extensions["x-nats-subject"].(string)
	return subject
}

// keyed says whether it needs a key.
func (o operation) keyed() bool { return o.Security == nil || len(*o.Security) > 0 }

func (o operation) has(status int) bool { return o.Responses.Status(status) != nil }

func (o operation) takesBody() bool { return o.RequestBody != nil }

// operations returns all of them, sorted by path and method.
func (d *described) operations() []operation {
	var all []operation
	for _, path := range slices.Sorted(maps.Keys(d.doc.Paths.Map())) {
		item := d.doc.Paths.Value(path)
		for _, method := range slices.Sorted(maps.Keys(item.Operations())) {
			all = append(all, operation{item.Operations()[method], method, path, item})
		}
	}
	return all
}

func (d *described) operation(t *testing.T, name string) operation {
	t.Helper()
	method, path, _ := strings.Cut(name, " ")
	item := d.doc.Paths.Value(path)
	if item == nil || item.GetOperation(method) == nil {
		t.Fatalf("openapi.yaml has no %s", name)
	}
	return operation{item.GetOperation(method), method, path, item}
}

// sent is a request of an operation.
type sent struct {
	ref, webhook, delivery string
	query                  string
	body                   any
	header                 []string
}

func (s sent) path(pattern string) string {
	path := strings.NewReplacer("{ref}", url.PathEscape(s.ref), "{webhookId}", url.PathEscape(s.webhook), "{id}", url.PathEscape(s.delivery)).Replace(pattern)
	if s.query != "" {
		path += "?" + s.query
	}
	return path
}

// call sends a request, and checks that the answer, and the request when it was
// accepted, are as described.
func (d *described) call(t *testing.T, api *e2e.API, name string, s sent) e2e.Reply {
	t.Helper()
	o := d.operation(t, name)
	r := api.Call(o.method, s.path(o.path), s.body, s.header...)
	d.check(t, o, s, r)
	return r
}

// want is call that fails the test unless the status is the one wanted.
func (d *described) want(t *testing.T, api *e2e.API, status int, name string, s sent) e2e.Reply {
	t.Helper()
	r := d.call(t, api, name, s)
	if r.Status != status {
		t.Fatalf("%s: %d, want %d: %s", name, r.Status, status, r.Raw)
	}
	return r
}

// check compares a request and its answer with the description.
func (d *described) check(t *testing.T, o operation, s sent, r e2e.Reply) {
	t.Helper()
	d.tried[o.name()+" "+strconv.Itoa(r.Status)] = true
	if r.Header.Get("X-Request-Id") == "" {
		t.Errorf("%s: no X-Request-Id", o.name())
	}
	var content io.Reader
	if s.body != nil {
		encoded, err := json.Marshal(s.body)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(encoded)
	}
	request := httptest.NewRequest(o.method, s.path(o.path), content)
	if content != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(s.header); i += 2 {
		request.Header.Set(s.header[i], s.header[i+1])
	}
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, MultiError: true, IncludeResponseStatus: true}
	input := &openapi3filter.RequestValidationInput{Request: request, Options: options,
		PathParams: map[string]string{"ref": s.ref, "webhookId": s.webhook, "id": s.delivery},
		Route:      &routers.Route{Spec: d.doc, Path: o.path, PathItem: o.item, Method: o.method, Operation: o.Operation}}
	if r.Status < http.StatusBadRequest {
		if err := openapi3filter.ValidateRequest(t.Context(), input); err != nil {
			t.Errorf("%s took a request that is not described: %v", o.name(), err)
		}
	}
	response := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: r.Status, Header: r.Header, Options: options}
	if err := openapi3filter.ValidateResponse(t.Context(), response.SetBodyBytes(r.Raw)); err != nil {
		t.Errorf("%s answered %d not as described: %v\n%s", o.name(), r.Status, err, r.Raw[:min(len(r.Raw), 2000)])
	}
}

// complete fails the test for every status that is described and was not tried.
func (d *described) complete(t *testing.T) {
	t.Helper()
	for _, o := range d.operations() {
		for status := range o.Responses.Map() {
			if !d.tried[o.name()+" "+status] {
				t.Errorf("%s: nothing here gets the status %s that is described", o.name(), status)
			}
		}
	}
}

// matches checks a JSON value against a schema.
func matches(t *testing.T, what string, schema *openapi3.SchemaRef, value any) {
	t.Helper()
	if schema == nil {
		t.Fatalf("%s is not described", what)
	}
	if err := schema.Value.VisitJSON(value, openapi3.MultiErrors()); err != nil {
		t.Errorf("%s is not as described: %v\n%v", what, err, value)
	}
}

// messages returns the names of the messages of a subject, after pairgate.v1.
func (d *described) messages(t *testing.T, subject string) (request, reply string) {
	t.Helper()
	last := func(ref string) string { return ref[strings.LastIndex(ref, "/")+1:] }
	for name, channel := range d.async.Channels {
		if o, ok := d.async.Operations[name]; ok && channel.Address == "pairgate.v1."+subject && len(o.Reply.Messages) > 0 {
			return last(channel.Messages["request"].Ref), last(o.Reply.Messages[0].Ref)
		}
	}
	t.Fatalf("asyncapi.yaml does not have %s", subject)
	return "", ""
}

func fileText(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}
