package simulated

import (
	"context"
	"errors"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/simwire"
	"pairgate.dev/services/session-worker/driver"
)

// opening is what tells one kind of session from the other at its start.
type opening struct {
	pairs  bool
	expect string
	// frame makes the first frame; failed, when not nil, says how the session closes instead.
	frame func(ctx context.Context, d *Driver) (f simwire.Frame, failed *instance.Closed)
}

func pairing(p driver.PairParams) opening {
	return opening{pairs: true, expect: p.ExpectPhone, frame: func(context.Context, *Driver) (simwire.Frame, *instance.Closed) {
		if p.Method == instance.MethodCode && p.Phone == "" {
			return simwire.Frame{}, &instance.Closed{Reason: instance.ReasonPairingRefused, Detail: "A pairing code needs a phone number."}
		}
		name := p.DeviceName
		if name == "" {
			name = defaultDeviceName
		}
		f := simwire.Frame{Type: simwire.TypeOpenPair, Instance: string(p.Instance), Method: string(p.Method), DeviceName: name}
		if p.Method == instance.MethodCode {
			f.Phone = p.Phone
		}
		if _, err := simwire.Encode(withSession(f)); err != nil {
			return simwire.Frame{}, &instance.Closed{Reason: instance.ReasonPairingRefused, Detail: "The name of the device or the method is not a valid one."}
		}
		return f, nil
	}}
}

func login(p driver.LoginParams) opening {
	return opening{frame: func(ctx context.Context, d *Driver) (simwire.Frame, *instance.Closed) {
		k, ok, err := d.load(ctx, p.Instance)
		switch {
		case errors.Is(err, errBadKeys):
			return simwire.Frame{}, &instance.Closed{Reason: instance.ReasonKeysMissing, Detail: "The stored keys cannot be read."}
		case err != nil:
			return simwire.Frame{}, &instance.Closed{Reason: instance.ReasonInternal, Detail: "The vault did not give the keys."}
		case !ok:
			return simwire.Frame{}, &instance.Closed{Reason: instance.ReasonKeysMissing, Detail: "There are no keys to log in with."}
		}
		return simwire.Frame{Type: simwire.TypeOpenLogin, Device: k.Device, Key: k.Key}, nil
	}}
}

// withSession fills in a number, which the frame gets for real only once there is a connection.
func withSession(f simwire.Frame) simwire.Frame {
	f.Session = 1
	return f
}

// dialOut makes the first frame and the connection, and returns what opens the session over it.
func (s *session) dialOut(c driver.Common, o opening) (then func()) {
	fail := func(c instance.Closed) func() { return func() { s.close(c) } }
	if c.Proxy != nil {
		// Going round the proxy would break the promise that nothing does.
		return fail(instance.Closed{Reason: instance.ReasonUnreachable, Detail: "The simulated messenger is on this machine and cannot be reached through a proxy."})
	}
	f, failed := o.frame(s.ctx, s.d)
	if failed != nil {
		return fail(*failed)
	}
	link, lost := s.d.connect(s.ctx)
	if link == nil {
		return fail(lost)
	}
	return func() {
		number, ok := link.add(s)
		if !ok {
			s.close(instance.Closed{Reason: instance.ReasonConnectionClosed, Detail: "The connection to the simulated messenger was lost."})
			return
		}
		s.link, s.number = link, number
		s.send(f)
		s.expectAnswer()
	}
}
