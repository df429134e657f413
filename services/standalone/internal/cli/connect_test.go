package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/standalone/internal/cli"
	"pairgate.dev/services/standalone/internal/e2e"
)

// running is a command that has not ended yet.
type running struct {
	t         *testing.T
	out, errs buffer
	stop      context.CancelFunc
	code      chan int
}

func (u user) start(args ...string) *running {
	ctx, cancel := context.WithCancel(u.t.Context())
	r := &running{t: u.t, stop: cancel, code: make(chan int, 1)}
	go func() {
		r.code <- cli.Run(ctx, args, u.env, cli.Streams{In: strings.NewReader(""), Out: &r.out, Err: &r.errs})
	}()
	u.t.Cleanup(func() { cancel(); r.wait() })
	return r
}

// wait waits for the end and returns the status.
func (r *running) wait() int {
	r.t.Helper()
	select {
	case code := <-r.code:
		r.code <- code
		return code
	case <-time.After(time.Minute):
		r.t.Errorf("the command did not end; it said:\n%s%s", r.out.String(), r.errs.String())
		return -1
	}
}

// await waits until the output matches, and returns the match.
func (r *running) await(pattern string) (found []string) {
	r.t.Helper()
	expression := regexp.MustCompile(pattern)
	bustest.CheckFor(r.t, 30*time.Second, func() error {
		if found = expression.FindStringSubmatch(r.out.String()); found == nil {
			return fmt.Errorf("nothing like %s in:\n%s%s", pattern, r.out.String(), r.errs.String())
		}
		return nil
	})
	return found
}

// code returns the current QR code of an instance.
func code(t *testing.T, d *e2e.Deployment, name string) (text string) {
	t.Helper()
	bustest.CheckFor(t, 20*time.Second, func() error {
		r, err := d.API.Try("GET", "/v1/instances/"+name+"/qr", nil)
		if err != nil {
			return err
		}
		if text, _ = r.Body["code"].(string); text == "" {
			return errors.New("no code yet")
		}
		return nil
	})
	return text
}

func connectsInAPipe(t *testing.T, d *e2e.Deployment) {
	const phone = "15550100061"
	u := userOf(t, d)
	addPhone(t, d, phone)
	u.ok("create", "piped", "--provider", "simulated")
	r := u.start("connect", "piped")
	r.await(`piped: scan this code with the phone\n[▀▄█ \n]+\nCode 1\. Until `)
	if strings.Contains(r.out.String(), "\x1b") {
		t.Error("an escape sequence was written to something that is no terminal")
	}
	if err := d.Lab.ScanCode(t.Context(), phone, code(t, d, "piped")); err != nil {
		t.Fatal(err)
	}
	if r.wait() != 0 || !strings.HasSuffix(r.out.String(), "piped is linked to "+phone+" (Ann)\n") {
		t.Fatalf("it ended with %s%s", r.out.String(), r.errs.String())
	}
	if out := u.ok("connect", "piped"); !strings.HasSuffix(out, "piped is linked to "+phone+" (Ann)\n") {
		t.Errorf("of a linked instance it says %s", out)
	}
	if out := u.ok("status", "piped"); !strings.Contains(out, "piped is online") || !strings.Contains(out, phone+" (Ann)") {
		t.Errorf("status says %s", out)
	}
}

func connectsByCode(t *testing.T, d *e2e.Deployment) {
	const phone = "15550100062"
	u := userOf(t, d)
	addPhone(t, d, phone)
	u.ok("create", "typed", "--provider", "simulated")
	r := u.start("connect", "typed", "--code", "+1 (555) 010-0062")
	typed := r.await(`typed: type this code on the phone\n\n +(\S+)\n`)[1]
	if err := d.Lab.EnterCode(t.Context(), phone, typed); err != nil {
		t.Fatal(err)
	}
	if r.wait() != 0 || !strings.Contains(r.out.String(), "typed is linked to "+phone) {
		t.Fatalf("it ended with %s%s", r.out.String(), r.errs.String())
	}
}

func connectFails(t *testing.T, d *e2e.Deployment) {
	u := userOf(t, d)
	u.ok("create", "late", "--provider", "simulated")
	if o := u.run("connect", "late", "--timeout", "1500ms"); o.code != 1 || o.err != "pairgate: late was not linked within 1.5s\n" {
		t.Errorf("after its time: %+v", o)
	}
	u.ok("logout", "late")
	withFaults(t, d, labapi.Faults{MinimumClientVersion: "999"})
	if o := u.run("connect", "late"); o.code != 1 || !strings.Contains(o.err, "pairgate: late was not linked; it is outdated, client_outdated") {
		t.Errorf("refused by the messenger: %+v", o)
	}
	// With --json each line is the answer or an event.
	o := u.run("connect", "late", "--json")
	if o.code != 1 || !strings.Contains(o.err, "client_outdated") {
		t.Errorf("refused by the messenger: %+v", o)
	}
	for line := range strings.Lines(o.out) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line of --json is %s", line)
		}
	}
	if o := u.run("connect", "nobody"); o.code != 1 || !strings.Contains(o.err, "instance_not_found") {
		t.Errorf("of an unknown instance: %+v", o)
	}
	if o := u.run("connect", "late", "--code", "12"); o.code != 1 || !strings.Contains(o.err, "phone: ") {
		t.Errorf("of a bad number: %+v", o)
	}
}

func withFaults(t *testing.T, d *e2e.Deployment, f labapi.Faults) {
	t.Helper()
	if err := d.Lab.SetFaults(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Lab.ClearFaults(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func follows(t *testing.T, d *e2e.Deployment) {
	u := userOf(t, d)
	u.ok("create", "watched", "--provider", "simulated")
	if out := settled(u.ok("events", "watched")); !regexp.MustCompile(`^<time>  \d+ +watched  status  idle, created\n$`).MatchString(out) {
		t.Errorf("events says %q", out)
	}
	r := u.start("events", "-f", "watched")
	all := u.start("events", "-f", "--from", "1", "--json")
	all.await(`"name":"watched"`)
	bustest.CheckFor(t, 20*time.Second, func() error {
		u.ok("restart", "watched")
		if !strings.Contains(r.out.String(), "status") {
			return errors.New("no status yet")
		}
		return nil
	})
	u.ok("delete", "watched", "--yes")
	if r.wait() != 0 || !strings.Contains(r.out.String(), "watched  deleted") {
		t.Errorf("it ended with %s%s", r.out.String(), r.errs.String())
	}
	all.stop()
	if all.wait() != 0 || all.errs.String() != "" {
		t.Errorf("events -f ended with %s", all.errs.String())
	}
}

func interrupted(t *testing.T, d *e2e.Deployment) {
	u := userOf(t, d)
	u.ok("create", "left", "--provider", "simulated")
	r := u.start("connect", "left")
	r.await(`Code 1\.`)
	r.stop()
	if r.wait() != 1 || r.errs.String() != "pairgate: interrupted\n" {
		t.Errorf("it ended with %s", r.errs.String())
	}
	if out := u.ok("status", "left"); !strings.Contains(out, "pairing") {
		t.Errorf("the window is closed: %s", out)
	}
}
