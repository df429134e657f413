// Package labclient calls the lab's control API: for tests, the demonstration and load.
package labclient

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"pairgate.dev/services/lab/labapi"
)

// Client calls one lab. It may be used by many goroutines.
type Client struct {
	base string
	http *http.Client
}

// New returns a client of the control API at addr, host:port.
func New(addr string) *Client {
	// Idle connections are kept for load: linking a thousand devices is a thousand requests at once.
	transport := &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second}
	return &Client{base: "http://" + addr, http: &http.Client{Transport: transport}}
}

// Close gives up idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is an answer that is not a success.
type Error struct{ labapi.Problem }

// Error returns the status, the reason or code, and the detail, with every bad field.
func (e *Error) Error() string {
	word := e.Reason
	if word == "" {
		word = e.Code
	}
	s := fmt.Sprintf("lab: %d %s: %s", e.Status, word, e.Detail)
	for _, f := range e.Errors {
		s += fmt.Sprintf("; %s: %s", f.Field, f.Message)
	}
	return s
}

// AddAccount adds a phone with an account.
func (c *Client) AddAccount(ctx context.Context, a labapi.NewAccount) (labapi.Account, error) {
	var account labapi.Account
	err := c.call(ctx, http.MethodPost, "/accounts", a, &account)
	return account, err
}

// Accounts lists all accounts.
func (c *Client) Accounts(ctx context.Context) ([]labapi.Account, error) {
	var list struct{ Accounts []labapi.Account }
	err := c.call(ctx, http.MethodGet, "/accounts", nil, &list)
	return list.Accounts, err
}

// Account returns an account with its linked devices.
func (c *Client) Account(ctx context.Context, phone string) (labapi.Account, error) {
	var account labapi.Account
	err := c.call(ctx, http.MethodGet, "/accounts/"+phone, nil, &account)
	return account, err
}

// ScanCode lets the phone scan a QR text. It returns once the device is linked,
// or once a password or passkey was asked for.
func (c *Client) ScanCode(ctx context.Context, phone, text string) error {
	return c.post(ctx, phone, "scan", map[string]string{"code": text})
}

// ScanPNG is ScanCode for a picture.
func (c *Client) ScanPNG(ctx context.Context, phone string, picture []byte) error {
	return c.send(ctx, http.MethodPost, "/accounts/"+phone+"/scan", "image/png", bytes.NewReader(picture), nil)
}

// EnterCode lets the phone type a pairing code; returns like ScanCode.
func (c *Client) EnterCode(ctx context.Context, phone, code string) error {
	return c.post(ctx, phone, "enter-code", map[string]string{"code": code})
}

// AnswerPasskey answers a challenge, a PublicKeyCredentialRequestOptions as JSON, with
// the passkey of the account; the answer is an AuthenticationResponse as JSON.
func (c *Client) AnswerPasskey(ctx context.Context, phone, options string) (string, error) {
	var answer json.RawMessage
	err := c.call(ctx, http.MethodPost, "/accounts/"+phone+"/passkey", map[string]json.RawMessage{"options": json.RawMessage(options)}, &answer)
	return string(answer), err
}

// Unlink removes every linked device from the phone.
func (c *Client) Unlink(ctx context.Context, phone string) error {
	return c.post(ctx, phone, "unlink", nil)
}

// Replace opens another connection of each connected device of the phone.
func (c *Client) Replace(ctx context.Context, phone string) error {
	return c.post(ctx, phone, "replace", nil)
}

// Drop cuts the connection of each connected device of the phone.
func (c *Client) Drop(ctx context.Context, phone string) error {
	return c.post(ctx, phone, "drop", nil)
}

// Ban blocks the account until the time, for good when it is zero.
func (c *Client) Ban(ctx context.Context, phone string, until time.Time) error {
	return c.post(ctx, phone, "ban", untilBody(until))
}

// Unban takes Ban back.
func (c *Client) Unban(ctx context.Context, phone string) error {
	return c.post(ctx, phone, "unban", nil)
}

// Suspend restricts the account until the time, or until Unsuspend when it is zero.
func (c *Client) Suspend(ctx context.Context, phone string, until time.Time) error {
	return c.post(ctx, phone, "suspend", untilBody(until))
}

// Unsuspend takes Suspend back.
func (c *Client) Unsuspend(ctx context.Context, phone string) error {
	return c.post(ctx, phone, "unsuspend", nil)
}

func untilBody(until time.Time) any {
	if until.IsZero() {
		return nil
	}
	return map[string]time.Time{"until": until}
}

// SetFaults replaces all faults.
func (c *Client) SetFaults(ctx context.Context, f labapi.Faults) error {
	return c.call(ctx, http.MethodPost, "/faults", f, nil)
}

// Faults returns the faults of the moment.
func (c *Client) Faults(ctx context.Context) (f labapi.Faults, err error) {
	err = c.call(ctx, http.MethodGet, "/faults", nil, &f)
	return f, err
}

// ClearFaults takes all faults back.
func (c *Client) ClearFaults(ctx context.Context) error {
	return c.call(ctx, http.MethodDelete, "/faults", nil, nil)
}

func (c *Client) post(ctx context.Context, phone, verb string, body any) error {
	return c.call(ctx, http.MethodPost, "/accounts/"+phone+"/"+verb, body, nil)
}

func (c *Client) call(ctx context.Context, method, path string, body, answer any) error {
	var r io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(raw)
	}
	return c.send(ctx, method, path, "application/json", r, answer)
}

func (c *Client) send(ctx context.Context, method, path, contentType string, body io.Reader, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		e := &Error{}
		if json.Unmarshal(raw, &e.Problem) != nil || e.Status == 0 {
			e.Problem = labapi.Problem{Status: resp.StatusCode, Detail: resp.Status}
		}
		return e
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(raw, answer)
}
