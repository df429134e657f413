package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"
)

func connectCommand() command {
	return command{name: "connect", args: "NAME", summary: "link an instance: show its QR code until a phone has scanned it", least: 1, most: 1,
		prepare: prepareConnect,
		text: `The code is drawn anew in place whenever there is another one. It ends with 0 once the instance is linked, and with 1
when it was not. When you leave with Ctrl-C, the pairing window stays open for its time. With --json each line is an
event, behind the answer to the request.`}
}

func prepareConnect(f *flag.FlagSet) func(context.Context, *call) error {
	phone := f.String("code", "", "show a code to be typed on this `PHONE` instead of a QR code")
	timeout := f.Duration("timeout", 0, "`TIME` after which it gives up; the instance's own qrTimeout when absent")
	invert := f.Bool("invert", false, "draw dark on light")
	return func(ctx context.Context, c *call) error {
		body := map[string]string{"method": "qr"}
		if *phone != "" {
			body = map[string]string{"method": "code", "phone": digits(*phone)}
		}
		if *timeout < 0 {
			return usagef("--timeout must be a time such as 90s")
		}
		p := &pairing{call: c, name: c.args[0], invert: *invert, view: blank{}}
		account, err := p.within(ctx, *timeout, body)
		if err != nil {
			return err
		}
		if !c.json {
			_, err = fmt.Fprintf(c.Out, "%s is linked to %s\n", clean(c.args[0]), clean(account.String()))
		}
		return err
	}
}

// pairing is one run of connect.
type pairing struct {
	*call
	name   string
	invert bool
	view   view
	// request is the number of our command: statuses that have not observed it say nothing about it.
	request uint64
	// answered is the status in the answer to connect; the stream may bring older ones after it.
	answered statusBody
	phase    string
	// attempt and sequence are those of the code that is shown.
	attempt, sequence uint64
	frame             frame
	// undrawn says that the picture of the code is still to be fetched.
	undrawn bool
}

// errNotLinked wraps why the window ended without a link.
var errNotLinked = errors.New("was not linked")

// positionTimeout is how long the stream's first word is awaited; without it the
// events between it and the answer to connect could be missed.
const positionTimeout = 2 * time.Second

// within is run that gives up after the limit, because to look at a code keeps its window open.
func (p *pairing) within(ctx context.Context, limit time.Duration, body map[string]string) (*accountBody, error) {
	i, err := p.instance(ctx)
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = time.Duration(i.QRTimeout) * time.Second
	}
	timed, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s %w within %v", p.name, errNotLinked, limit))
	defer cancel()
	account, err := p.run(timed, body)
	if err != nil && timed.Err() != nil {
		return nil, context.Cause(timed)
	}
	return account, err
}

func (p *pairing) instance(ctx context.Context) (i instanceBody, err error) {
	a, err := p.api.get(ctx, one(p.name))
	if err == nil {
		err = a.into(&i)
	}
	return i, err
}

// run connects, shows codes, and returns the account once the instance is linked.
func (p *pairing) run(ctx context.Context, body map[string]string) (account *accountBody, err error) {
	stream := p.api.follow(ctx, one(p.name)+"/events", "")
	defer stream.stop()
	select {
	case m, ok := <-stream.messages:
		if !ok {
			return nil, errors.Join(stream.err, ctx.Err())
		}
		if account, err = p.take(ctx, m); err != nil {
			return nil, err
		}
	case <-time.After(positionTimeout):
	}
	if p.view, err = p.newView(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.view.close()) }()
	p.frame = frame{title: p.name + ": asking for a code"}
	if err := p.view.show(p.frame); err != nil {
		return nil, err
	}
	if account, err = p.ask(ctx, body); account != nil || err != nil {
		return account, err
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if p.undrawn {
			p.draw(ctx)
		}
		if err := p.view.show(p.frame); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case m, ok := <-stream.messages:
			if !ok {
				return nil, errors.Join(stream.err, ctx.Err())
			}
			if account, err = p.take(ctx, m); account != nil || err != nil {
				return account, err
			}
		case <-tick.C:
		}
	}
}

func (p *pairing) newView() (view, error) {
	switch f, _ := p.Out.(*os.File); {
	case p.json:
		return blank{}, nil
	case isTerminal(p.Out):
		return newScreen(f, p.invert)
	}
	return &page{out: p.Out}, nil
}

// ask sends the command.
func (p *pairing) ask(ctx context.Context, body map[string]string) (*accountBody, error) {
	a, err := p.api.do(ctx, http.MethodPost, one(p.name)+"/connect?wait=30", body)
	if err != nil {
		return nil, err
	}
	if p.json {
		if err := raw(p.Out, a.body); err != nil {
			return nil, err
		}
	}
	var s statusBody
	if err := a.into(&s); err != nil {
		return nil, err
	}
	p.request = s.ObservedRequest
	if a.status != http.StatusOK {
		// Nobody may have observed it yet.
		i, err := p.instance(ctx)
		if err != nil {
			return nil, err
		}
		p.request = i.Request
		p.frame.note = "This takes longer than usual. Ctrl-C leaves."
	}
	p.answered = s
	if account, err := p.status(&s); account != nil || err != nil {
		return account, err
	}
	switch {
	case s.QR != nil:
		p.qr(s.QR)
	case s.PairingCode != nil:
		p.typed(s.PairingCode)
	}
	return nil, nil
}

// take looks at a message of the stream. It returns the account once the instance is linked.
func (p *pairing) take(ctx context.Context, m message) (*accountBody, error) {
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case m.lost != nil:
		p.frame.note = "The gateway does not answer; trying again. Ctrl-C leaves."
		p.frame.expires = time.Time{}
		return nil, nil
	case m.event == "" || m.event == "gap":
		return nil, nil
	}
	if p.json {
		if err := raw(p.Out, m.data); err != nil {
			return nil, err
		}
	}
	var e eventBody
	if err := json.Unmarshal(m.data, &e); err != nil {
		return nil, fmt.Errorf("an event could not be read: %w", err)
	}
	switch {
	case m.event == "deleted":
		return nil, fmt.Errorf("%s %w: it was deleted", p.name, errNotLinked)
	case e.Status != nil && p.request > 0:
		return p.status(e.Status)
	case p.phase != "connecting" && p.phase != "pairing":
		// Once it was scanned, a code is withdrawn, and that is not worth a word.
	case e.Code != nil:
		p.qr(e.Code)
	case e.QR != nil:
		p.qr(e.QR)
	case e.PairingCode != nil:
		p.typed(e.PairingCode)
	}
	return nil, nil
}

// status turns a status into a frame, the account or the reason of a failure.
func (p *pairing) status(s *statusBody) (*accountBody, error) {
	if s.ObservedRequest < p.request {
		return nil, nil
	}
	if s.Phase == "connecting" && s.Attempt == p.answered.Attempt && s.Since.Before(p.answered.Since) {
		return nil, nil
	}
	p.phase = s.Phase
	say := func(title, note string) { p.frame, p.undrawn = frame{title: p.name + ": " + title, note: note}, false }
	switch s.Phase {
	case "online", "suspended":
		if s.Account == nil {
			return &accountBody{}, nil
		}
		return s.Account, nil
	case "connecting":
		p.attempt, p.sequence = 0, 0
		say("asking for a code", s.Detail)
	case "pairing":
		return nil, nil // the code says the rest
	case "syncing":
		say("scanned; finishing the link", "")
	case "passwordRequired":
		say("the password of the account is needed", "Send it: POST "+one(p.name)+"/password. Ctrl-C leaves.")
	case "passkeyRequired":
		say("a passkey of the account is needed", "Its challenge stands in the status. Ctrl-C leaves.")
	case "offline":
		if s.Account == nil || s.Reason == "replaced" || s.Reason == "keys_missing" {
			return nil, p.failed(s)
		}
		say("linked; connecting", s.Detail)
	default:
		return nil, p.failed(s)
	}
	return nil, nil
}

func (p *pairing) failed(s *statusBody) error {
	why := s.Reason
	if s.Detail != "" {
		why += ": " + s.Detail
	}
	return fmt.Errorf("%s %w; it is %s, %s", p.name, errNotLinked, s.Phase, why)
}
