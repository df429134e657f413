package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"pairgate.dev/pkg/bus"
	pb "pairgate.dev/proto/pairgate/v1"
)

// natsTimeout bounds finding NATS.
const natsTimeout = 5 * time.Second

func requestCommand() command {
	return command{name: "request", args: "SUBJECT [JSON]", summary: "send a NATS request and print the answer", least: 1, most: 2, offline: true,
		prepare: prepareRequest,
		text: `JSON is the body, {} when absent, - for standard input. NATS is at PAIRGATE_NATS_URL, with PAIRGATE_NATS_USER and
PAIRGATE_NATS_PASSWORD, or what else PAIRGATE_NATS_… names; on this machine otherwise with the files nats-user and
nats-password of PAIRGATE_DATA_DIR.
For example: pairgate request pairgate.v1.instances.get '{"ref":"shop"}'`}
}

func prepareRequest(f *flag.FlagSet) func(context.Context, *call) error {
	timeout := f.Duration("timeout", bus.DefaultTimeout, "`TIME` to wait for the answer")
	return func(ctx context.Context, c *call) (err error) {
		body := []byte("{}")
		if len(c.args) == 2 {
			body = []byte(c.args[1])
		}
		if string(body) == "-" {
			if body, err = io.ReadAll(io.LimitReader(c.In, maxAnswer)); err != nil {
				return err
			}
		}
		if !json.Valid(body) {
			return usagef("the body is no JSON")
		}
		o, err := c.config.nats()
		if err != nil {
			return err
		}
		conn, err := dial(ctx, o)
		if err != nil {
			return err
		}
		defer conn.Close()
		timed, cancel := context.WithTimeout(ctx, *timeout)
		defer cancel()
		reply, err := exchange(timed, conn, c.args[0], body, *timeout)
		switch {
		case err == nil:
			return c.reply(reply)
		case ctx.Err() != nil:
			return ctx.Err()
		case timed.Err() != nil || errors.Is(err, nats.ErrTimeout):
			return fmt.Errorf("no answer on %s within %v; the request may have been carried out", c.args[0], *timeout)
		case errors.Is(err, nats.ErrNoResponders):
			return fmt.Errorf("nobody answers on %s", c.args[0])
		}
		return err
	}
}

func dial(ctx context.Context, o bus.Options) (*nats.Conn, error) {
	timed, cancel := context.WithTimeout(ctx, natsTimeout)
	defer cancel()
	conn, err := bus.Connect(timed, o)
	switch {
	case err == nil:
		return conn.NATS(), nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case timed.Err() != nil:
		return nil, fmt.Errorf("no answer from NATS within %v; PAIRGATE_NATS_URL says where it is", natsTimeout)
	}
	return nil, err
}

func exchange(ctx context.Context, nc *nats.Conn, subject string, body []byte, timeout time.Duration) (*nats.Msg, error) {
	m := nats.NewMsg(subject)
	m.Data = body
	m.Header.Set(bus.HeaderContentType, bus.ContentJSON)
	m.Header.Set(bus.HeaderTimeout, strconv.FormatInt(max(timeout.Milliseconds(), 1), 10))
	return nc.RequestMsgWithContext(ctx, m)
}

// reply prints the body of an answer, or returns the problem that it is.
func (c *call) reply(m *nats.Msg) error {
	code := m.Header.Get(bus.HeaderErrorCode)
	if code == "" {
		if !json.Valid(m.Data) {
			_, err := fmt.Fprintf(c.Out, "%s\n", clean(string(m.Data)))
			return err
		}
		return raw(c.Out, m.Data)
	}
	var p pb.Problem
	if bus.DecodeJSON(m.Data, &p) != nil || p.GetCode() == "" {
		return &refusal{Detail: m.Header.Get(bus.HeaderError), Code: code}
	}
	return fromProblem(bus.ProblemFromProto(&p))
}
