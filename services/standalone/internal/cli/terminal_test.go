package cli_test

import (
	"fmt"
	"image"
	"image/color"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/standalone/internal/e2e"
)

// terminal is a real one, of tmux, with a shell command in it.
type terminal struct {
	t      *testing.T
	socket string
}

func newTerminal(t *testing.T, columns, lines int, env []string, command string) *terminal {
	t.Helper()
	// A socket's path is limited to about a hundred characters.
	dir, err := os.MkdirTemp("", "pairgate-tmux-*")
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t, filepath.Join(dir, "s")}
	t.Cleanup(func() {
		_, _ = term.tmux("kill-server") // it may have ended
		_ = os.RemoveAll(dir)
	})
	args := []string{"-u", "-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(lines)}
	for _, e := range env {
		args = append(args, "-e", e)
	}
	if out, err := term.tmux(append(args, command)...); err != nil {
		t.Fatalf("tmux (scripts/install-tmux installs it): %v\n%s", err, out)
	}
	return term
}

func (s *terminal) tmux(args ...string) (string, error) {
	cmd := exec.Command("tmux", append([]string{"-S", s.socket}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TMUX=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// screen returns what stands on the terminal.
func (s *terminal) screen() string {
	out, err := s.tmux("capture-pane", "-p")
	if err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	return out
}

func (s *terminal) await(what string, reached func(screen string) bool) {
	s.t.Helper()
	bustest.CheckFor(s.t, 30*time.Second, func() error {
		if screen := s.screen(); !reached(screen) {
			return fmt.Errorf("waiting for %s, the screen shows:\n%s", what, screen)
		}
		return nil
	})
}

// read decodes the code that stands on the terminal, with a decoder that is not
// ours; a block is light.
func read(screen string) (string, error) {
	var lines [][]rune
	width := 0
	for line := range strings.Lines(screen) {
		if line = strings.TrimRight(line, "\n"); strings.ContainsAny(line, "▀▄█") {
			lines = append(lines, []rune(line))
			width = max(width, len(lines[len(lines)-1]))
		}
	}
	if width == 0 {
		return "", fmt.Errorf("nothing is drawn")
	}
	const scale = 4
	img := image.NewGray(image.Rect(0, 0, width*scale, 2*len(lines)*scale))
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			line, lower := lines[y/scale/2], y/scale%2 == 1
			block := ' '
			if x/scale < len(line) {
				block = line[x/scale]
			}
			if block == '█' || lower && block == '▄' || !lower && block == '▀' {
				img.SetGray(x, y, color.Gray{255})
			}
		}
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		return "", err
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true})
	if err != nil {
		return "", err
	}
	return result.GetText(), nil
}

// connectsInATerminal: the code on the screen is the current one, is redrawn in
// place when there is another, and the terminal is as before once it is linked.
func connectsInATerminal(t *testing.T, d *e2e.Deployment) {
	const phone = "15550100063"
	u := userOf(t, d)
	addPhone(t, d, phone)
	u.ok("create", "shown", "--provider", "simulated")
	withFaults(t, d, labapi.Faults{CodeLifeSeconds: 4})
	term := newTerminal(t, 100, 50, u.env, binaries.Build(t, "pairgate")+` connect shown; echo "ended with $?"; exec sleep 600`)
	seen := map[string]bool{}
	var scanned string
	// The second code is the one that is scanned: the first one was replaced in place.
	term.await("a second code", func(screen string) bool {
		text, err := read(screen)
		if err != nil || text != code(t, d, "shown") {
			return false
		}
		if strings.Count(screen, "scan this code") != 1 || !strings.Contains(screen, " left. Ctrl-C leaves.") {
			t.Fatalf("the screen shows:\n%s", screen)
		}
		seen[text], scanned = true, text
		return len(seen) == 2
	})
	if err := d.Lab.ScanCode(t.Context(), phone, scanned); err != nil {
		t.Fatal(err)
	}
	term.await("the end", func(screen string) bool { return strings.Contains(screen, "ended with") })
	if screen := strings.TrimSpace(term.screen()); screen != "shown is linked to "+phone+" (Ann)\nended with 0" {
		t.Errorf("the screen shows:\n%s", screen)
	}
	if cursor, err := term.tmux("display-message", "-p", "#{cursor_flag} #{alternate_on}"); err != nil || cursor != "1 0\n" {
		t.Errorf("the cursor and the other screen are %s, %v", cursor, err)
	}
}

// connectsInASmallTerminal: a code that does not fit is not drawn broken, and
// appears once there is room. Ctrl-C leaves the terminal as it was.
func connectsInASmallTerminal(t *testing.T, d *e2e.Deployment) {
	u := userOf(t, d)
	u.ok("create", "small", "--provider", "simulated")
	term := newTerminal(t, 60, 12, u.env, binaries.Build(t, "pairgate")+` connect small; echo "ended with $?"; exec sleep 600`)
	term.await("a word about the size", func(screen string) bool {
		return strings.Contains(screen, "The window is too small") && !strings.ContainsAny(screen, "▀▄█")
	})
	if out, err := term.tmux("resize-window", "-x", "100", "-y", "50"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	term.await("the code", func(screen string) bool {
		text, err := read(screen)
		return err == nil && text == code(t, d, "small")
	})
	term.keys("C-c")
	term.await("the end", func(screen string) bool {
		return strings.TrimSpace(screen) == "pairgate: interrupted\nended with 1"
	})
	if cursor, err := term.tmux("display-message", "-p", "#{cursor_flag} #{alternate_on}"); err != nil || cursor != "1 0\n" {
		t.Errorf("the cursor and the other screen are %s, %v", cursor, err)
	}
}

func (s *terminal) keys(keys ...string) {
	s.t.Helper()
	if out, err := s.tmux(append([]string{"send-keys"}, keys...)...); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
}

// asksBeforeItDeletes: anything but yes leaves the instance, and Ctrl-C does too.
func asksBeforeItDeletes(t *testing.T, d *e2e.Deployment) {
	u := userOf(t, d)
	u.ok("create", "kept", "--provider", "simulated")
	one := binaries.Build(t, "pairgate") + ` delete kept; echo "ended with $?"; `
	term := newTerminal(t, 100, 30, u.env, one+one+one+"exec sleep 600")
	ended := func(n int) func(string) bool {
		return func(screen string) bool { return strings.Count(screen, "ended with") == n }
	}
	asked := func(n int) func(string) bool {
		return func(screen string) bool { return strings.Count(screen, "Delete kept (simulated, number ") == n }
	}
	term.await("a question", asked(1))
	term.keys("n", "Enter")
	term.await("the second question", asked(2))
	term.keys("C-c")
	term.await("the third question", asked(3))
	u.ok("status", "kept")
	term.keys("y", "Enter")
	term.await("the end", ended(3))
	screen := term.screen()
	for _, line := range []string{"pairgate: kept was not deleted\nended with 1\n", "pairgate: interrupted\nended with 1\n", "deleted kept\nended with 0\n"} {
		if !strings.Contains(screen, line) {
			t.Errorf("the screen shows:\n%s", screen)
		}
	}
}
