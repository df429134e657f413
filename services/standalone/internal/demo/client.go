package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"pairgate.dev/pkg/seal"
)

// client speaks to the gateway as any HTTP client would.
type client struct {
	base string
	key  seal.Secret
	http *http.Client
}

func newClient(addr string, key seal.Secret) *client {
	return &client{base: "http://" + addr, key: key, http: &http.Client{Timeout: 30 * time.Second}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// maxAnswer bounds what is read of an answer.
const maxAnswer = 4 << 20

func (c *client) call(ctx context.Context, method, path string, body any) (int, []byte, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+reveal(c.key))
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return response.StatusCode, answer, err
}

// ok calls and takes any answer below 300; the error of another has its problem.
func (c *client) ok(ctx context.Context, method, path string, body any) ([]byte, error) {
	status, answer, err := c.call(ctx, method, path, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if status >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("%s %s: %d %s", method, path, status, answer)
	}
	return answer, nil
}

func (c *client) get(ctx context.Context, path string) ([]byte, error) {
	return c.ok(ctx, http.MethodGet, path, nil)
}

const pollEvery = 50 * time.Millisecond

// poll calls f until it says that it is done, fails, or ctx ends.
func poll(ctx context.Context, what string, f func() (done bool, err error)) error {
	for {
		done, err := f()
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-time.After(pollEvery):
		}
	}
}

func (c *client) awaitReady(ctx context.Context) error {
	return poll(ctx, "/readyz to say yes", func() (bool, error) {
		status, _, err := c.call(ctx, http.MethodGet, "/readyz", nil)
		return err == nil && status == http.StatusOK, nil
	})
}

type creation struct{ id, number, secret string }

func (c *client) create(ctx context.Context, name, webhook string) (creation, error) {
	answer, err := c.ok(ctx, http.MethodPost, "/v1/instances", map[string]any{
		"name": name, "provider": "whatsapp", "webhooks": []any{map[string]any{"url": webhook}},
	})
	if err != nil {
		return creation{}, err
	}
	var reply struct {
		Instance struct{ ID, Number string }
		Webhooks []struct{ Secret string }
	}
	if err := json.Unmarshal(answer, &reply); err != nil {
		return creation{}, err
	}
	if len(reply.Webhooks) != 1 {
		return creation{}, errors.New("the answer to the creation has no webhook")
	}
	return creation{reply.Instance.ID, reply.Instance.Number, reply.Webhooks[0].Secret}, nil
}

func (c *client) connect(ctx context.Context, name string) error {
	answer, err := c.ok(ctx, http.MethodPost, "/v1/instances/"+name+"/connect?wait=20", nil)
	if err != nil {
		return err
	}
	var reply struct {
		Qr struct{ Code, ImageReason string }
	}
	if err := json.Unmarshal(answer, &reply); err != nil {
		return err
	}
	if reply.Qr.Code == "" {
		return fmt.Errorf("no QR code came in time: %s", answer)
	}
	return nil
}

type status struct{ Phase, Reason string }

func (c *client) awaitPhase(ctx context.Context, name, phase string) (s status, err error) {
	err = poll(ctx, "phase "+phase, func() (bool, error) {
		answer, err := c.get(ctx, "/v1/instances/"+name+"/status")
		if err != nil {
			return false, err
		}
		return s.Phase == phase, json.Unmarshal(answer, &s)
	})
	return s, err
}
