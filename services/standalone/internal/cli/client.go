package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"pairgate.dev/pkg/seal"
)

const (
	// callTimeout is longer than the gateway makes anybody wait.
	callTimeout = 90 * time.Second
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 16 << 20
)

// client speaks to one gateway.
type client struct {
	base string
	key  seal.Secret
	http *http.Client
}

func newClient(base string, key seal.Secret) *client {
	// A gateway does not redirect; following somebody who does would show them the key.
	return &client{base: base, key: key, http: &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// answer is a success.
type answer struct {
	status int
	body   []byte
}

// into decodes the body.
func (a answer) into(v any) error {
	if err := json.Unmarshal(a.body, v); err != nil {
		return fmt.Errorf("the gateway's answer could not be read: %w", err)
	}
	return nil
}

// request makes a request; pairs are more headers.
func (c *client) request(ctx context.Context, method, path string, body any, pairs ...string) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.key.Reveal())
	r.Header.Set("User-Agent", "pairgate-cli")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		r.Header.Set(pairs[i], pairs[i+1])
	}
	return r, nil
}

// do sends a request. The error is a *refusal when the gateway refused it.
func (c *client) do(ctx context.Context, method, path string, body any, pairs ...string) (answer, error) {
	timed, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := c.request(timed, method, path, body, pairs...)
	if err != nil {
		return answer{}, err
	}
	response, err := c.http.Do(r)
	if err != nil {
		return answer{}, c.unreachable(ctx, err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return answer{}, c.unreachable(ctx, err)
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return answer{}, refused(response.StatusCode, content)
	}
	return answer{response.StatusCode, content}, nil
}

func (c *client) get(ctx context.Context, path string) (answer, error) {
	return c.do(ctx, http.MethodGet, path, nil)
}

// unreachable says that there was no answer, unless it is ctx that ended.
func (c *client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return fmt.Errorf("no answer from the gateway at %s: %w", c.base, err)
}

// one is the path of an instance.
func one(ref string) string { return "/v1/instances/" + url.PathEscape(ref) }

// pages gets a list page by page; name is the list's in the answer.
func (c *client) pages(ctx context.Context, path string, query url.Values, name string) ([]json.RawMessage, error) {
	query.Set("pageSize", "500")
	all := []json.RawMessage{}
	for {
		a, err := c.get(ctx, path+"?"+query.Encode())
		if err != nil {
			return nil, err
		}
		var page map[string]json.RawMessage
		var list []json.RawMessage
		var next string
		if err := a.into(&page); err != nil {
			return nil, err
		}
		if err := errors.Join(json.Unmarshal(page[name], &list), json.Unmarshal(page["nextPageToken"], &next)); err != nil {
			return nil, fmt.Errorf("the gateway's answer could not be read: %w", err)
		}
		all = append(all, list...)
		if next == "" {
			return all, nil
		}
		query.Set("pageToken", next)
	}
}
