package web

import (
	"context"
	"net"
	"net/http"
)

// Until returns the context of a wait: it ends with the request, and when stopping
// does, because the process drains then.
func Until(r *http.Request, stopping context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(stopping, cancel)
	return ctx, func() { stop(); cancel() }
}

// Address is where a request came from, without the port: what guesses of keys are counted by.
func Address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
