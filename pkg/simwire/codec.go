package simwire

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Errors of Encode, Decode and Reader. They never quote what was read.
var (
	// ErrTooLong is a line, or a field in it, over its limit.
	ErrTooLong = errors.New("simwire: frame too long")
	// ErrMalformed is a line that is not one JSON object of the right types.
	ErrMalformed = errors.New("simwire: malformed frame")
	// ErrUnknownType is a frame of a type that this version does not know.
	ErrUnknownType = errors.New("simwire: unknown type of frame")
	// ErrIncomplete is a frame without a field that its type must have.
	ErrIncomplete = errors.New("simwire: incomplete frame")
)

// maxLife keeps durations far from overflow: a year.
const maxLife = int64(365 * 24 * time.Hour / time.Millisecond)

// maxUntil is the last millisecond of the year 9999.
const maxUntil = int64(253402300799999)

// needs says for each type whether it belongs to a session and what it cannot be without.
var needs = map[Type]struct {
	session bool
	ok      func(*Frame) bool
}{
	TypePing:             {false, nil},
	TypePong:             {false, nil},
	TypeHello:            {false, func(f *Frame) bool { return f.Version > 0 && f.Client != "" }},
	TypeWelcome:          {false, func(f *Frame) bool { return f.Version > 0 }},
	TypeOpenPair:         {true, func(f *Frame) bool { return f.Instance != "" && f.Method != "" }},
	TypeOpenLogin:        {true, func(f *Frame) bool { return f.Device != "" && f.Key != "" }},
	TypePassword:         {true, nil},
	TypePasskeyResponse:  {true, func(f *Frame) bool { return f.Passkey != "" }},
	TypePasskeyConfirm:   {true, nil},
	TypeStored:           {true, func(f *Frame) bool { return (f.Device == "") == (f.Key == "") }},
	TypeRefused:          {true, func(f *Frame) bool { return f.Reason != "" }},
	TypePresence:         {true, nil},
	TypeLogout:           {true, nil},
	TypeClose:            {true, nil},
	TypeCode:             {true, func(f *Frame) bool { return f.Text != "" && f.LifeMillis > 0 }},
	TypePairingCode:      {true, func(f *Frame) bool { return f.Text != "" && f.Phone != "" && f.LifeMillis > 0 }},
	TypePasswordRequired: {true, nil},
	TypePasskeyRequired:  {true, func(f *Frame) bool { return f.Passkey != "" && f.LifeMillis > 0 }},
	TypeScanned:          {true, nil},
	TypeKeys:             {true, func(f *Frame) bool { return f.Device != "" && f.Key != "" && f.Account != nil }},
	TypeLinked:           {true, func(f *Frame) bool { return f.Account != nil }},
	TypeOnline:           {true, func(f *Frame) bool { return f.Account != nil }},
	TypeSuspended:        {true, nil},
	TypeUnsuspended:      {true, nil},
	TypeLoggedOut:        {true, nil},
	// closed without a session ends the connection, so it needs none.
	TypeClosed: {false, func(f *Frame) bool { return f.Reason != "" }},
}

func (f *Frame) check() error {
	need, ok := needs[f.Type]
	if !ok {
		return ErrUnknownType
	}
	if need.session && f.Session == 0 || need.ok != nil && !need.ok(f) {
		return fmt.Errorf("%w: %s", ErrIncomplete, f.Type)
	}
	short := []string{f.Client, f.Instance, f.Method, f.Phone, f.DeviceName, f.Device, f.Key, f.Password, f.Reason, f.Detail}
	if f.Account != nil {
		short = append(short, f.Account.ID, f.Account.Phone, f.Account.Name)
	}
	for _, s := range short {
		if len(s) > MaxName {
			return fmt.Errorf("%w: %s", ErrTooLong, f.Type)
		}
	}
	if len(f.Text) > MaxText || len(f.Passkey) > MaxJSON {
		return fmt.Errorf("%w: %s", ErrTooLong, f.Type)
	}
	if f.LifeMillis < 0 || f.LifeMillis > maxLife || f.UntilMillis < 0 || f.UntilMillis > maxUntil {
		return fmt.Errorf("%w: %s", ErrMalformed, f.Type)
	}
	return nil
}

// Encode returns the frame as a line, its newline included. It fails for a frame that Decode would refuse.
func Encode(f Frame) ([]byte, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	line, err := json.Marshal(f)
	if err != nil {
		return nil, ErrMalformed
	}
	if len(line) >= MaxLine {
		return nil, ErrTooLong
	}
	return append(line, '\n'), nil
}

// Decode reads one line, with or without its newline. Fields that this version
// does not know are dropped.
func Decode(line []byte) (Frame, error) {
	if len(line) > MaxLine {
		return Frame{}, ErrTooLong
	}
	var f Frame
	if err := json.Unmarshal(line, &f); err != nil {
		return Frame{}, ErrMalformed
	}
	if err := f.check(); err != nil {
		return Frame{}, err
	}
	return f, nil
}

// Reader reads frames off a connection. It is for one goroutine.
type Reader struct{ lines *bufio.Scanner }

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), MaxLine)
	return &Reader{lines}
}

// Next returns the next frame: io.EOF at the end, the error of the connection, or
// one of this package's. After an error the Reader is of no more use.
func (r *Reader) Next() (Frame, error) {
	if !r.lines.Scan() {
		switch err := r.lines.Err(); {
		case err == nil:
			return Frame{}, io.EOF
		case errors.Is(err, bufio.ErrTooLong):
			return Frame{}, ErrTooLong
		default:
			return Frame{}, err
		}
	}
	return Decode(r.lines.Bytes())
}
