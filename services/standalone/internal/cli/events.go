package cli

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strconv"
)

// nowID asks a stream for what is now: it is no id of any event.
const nowID = "now"

func eventsCommand() command {
	return command{name: "events", args: "[NAME]", summary: "show what instances are, or with -f what happens", most: 1, prepare: prepareEvents,
		text: "Without NAME it is about all instances. With --json each line is one event, codes and pictures included."}
}

func prepareEvents(f *flag.FlagSet) func(context.Context, *call) error {
	live := f.Bool("f", false, "show what happens from now on, until Ctrl-C")
	from := f.Uint64("from", 0, "with -f, begin after the event with this `SEQUENCE`")
	return func(ctx context.Context, c *call) error {
		path := "/v1/events"
		if len(c.args) == 1 {
			path = one(c.args[0]) + "/events"
		}
		lastID := nowID
		switch {
		case *from > 0 && !*live:
			return usagef("--from goes with -f")
		case *from > 0:
			lastID = strconv.FormatUint(*from, 10)
		case *live:
			lastID = ""
		}
		stream := c.api.follow(ctx, path, lastID)
		defer stream.stop()
		for m := range stream.messages {
			over, err := c.event(m, *live)
			if over || err != nil {
				return err
			}
		}
		if *live && ctx.Err() != nil {
			return nil // Ctrl-C is how it ends
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return stream.err
	}
}

// event prints a message. over says that nothing is to be expected any more.
func (c *call) event(m message, live bool) (over bool, err error) {
	switch {
	case m.lost != nil && !live:
		return true, m.lost
	case m.lost != nil:
		fmt.Fprintf(c.Err, "pairgate: %s; trying again\n", clean(m.lost.Error()))
		return false, nil
	case m.event == "":
		return !live, nil // the position, which stands behind the last of what is now
	case m.event == "gap" && live:
		fmt.Fprintln(c.Err, "pairgate: some events are not kept any more; what is now follows")
		return false, nil
	case m.event == "gap":
		return false, nil
	}
	var e eventBody
	if err := json.Unmarshal(m.data, &e); err != nil {
		return true, fmt.Errorf("an event could not be read: %w", err)
	}
	if c.json {
		err = raw(c.Out, m.data)
	} else {
		err = e.line(c.Out)
	}
	return m.event == "deleted" && len(c.args) == 1, err
}

// line tells an event in a line, codes left out.
func (e *eventBody) line(w io.Writer) error {
	what := ""
	code := func(b *codeBody) {
		switch {
		case b.Code == "":
			what = "withdrawn"
		case b.Sequence > 0:
			what = fmt.Sprintf("code %d of attempt %d, until %s", b.Sequence, b.Attempt, moment(b.ExpiresAt))
		default:
			what = fmt.Sprintf("code of attempt %d, until %s", b.Attempt, moment(b.ExpiresAt))
		}
	}
	switch {
	case e.Status != nil:
		what = e.Status.Phase + ", " + e.Status.Reason
		if a := e.Status.Account.String(); a != "" {
			what += ", " + a
		}
	case e.Code != nil:
		code(e.Code)
	case e.QR != nil:
		code(e.QR)
	case e.PairingCode != nil:
		code(e.PairingCode)
	}
	_, err := fmt.Fprintf(w, "%s  %-6d  %s  %s  %s\n", moment(e.Time), e.Sequence, clean(e.Instance.Name), e.Kind, clean(what))
	return err
}
