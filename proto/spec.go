// Package spec holds the descriptions of Pairgate's two public faces, for people
// and for tools: the HTTP API as OpenAPI 3.0, and NATS subjects and events as
// AsyncAPI 3.0. Their schemas are in the OpenAPI file; the other refers to it.
package spec

import _ "embed"

// OpenAPI is openapi.yaml. It must not be changed.
//
//go:embed openapi.yaml
var OpenAPI []byte

// AsyncAPI is asyncapi.yaml. It must not be changed.
//
//go:embed asyncapi.yaml
var AsyncAPI []byte
