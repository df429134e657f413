package standalone_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/standalone/internal/e2e"
)

// TestLinkSurvivesBackupAndRestore stops the one process, copies its data directory as
// one set, loses the original, and starts on the copy: the link, the instance's token
// and its webhook are as they were, and no code is asked for.
func TestLinkSurvivesBackupAndRestore(t *testing.T) {
	for _, messenger := range []instance.Provider{instance.Simulated, instance.WhatsApp} {
		t.Run(string(messenger), func(t *testing.T) { backupAndRestore(t, messenger) })
	}
}

func backupAndRestore(t *testing.T, messenger instance.Provider) {
	const phone = "15550100071"
	receiver := e2e.NewReceiver(t)
	original := filepath.Join(t.TempDir(), "data")
	d := e2e.OneIn(t, &binaries, original, nil)
	addPhoneOf(t, d, messenger, phone)
	created := createOf(t, d, messenger, "kept", receiver)
	secret := created["webhooks"].([]any)[0].(map[string]any)["secret"].(string)
	before := link(t, d, "kept", phone)
	if code := d.Processes["pairgate"].Stop(); code != 0 {
		t.Fatalf("pairgate ended with status %d", code)
	}

	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(original)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(original); err != nil {
		t.Fatal(err)
	}

	restored := e2e.OneIn(t, &binaries, backup, nil)
	own := restored.API.With(created["token"].(string))
	after := own.AwaitPhase("kept", "online")
	if after["attempt"] != before["attempt"] || after["account"].(map[string]any)["phone"] != phone {
		t.Errorf("restored as %v", after)
	}
	if epoch := number(t, after["epoch"]); epoch <= number(t, before["epoch"]) {
		t.Errorf("the epoch went from %v to %d", before["epoch"], epoch)
	}
	receiver.Await("online after the restore", func(w e2e.Webhook) bool { return w.Phase == "online" && epochOf(t, w) == after["epoch"] })
	receiver.Verify(secret)
	checkOrder(t, receiver)
	own.Want(http.StatusOK, http.MethodPost, "/v1/instances/kept/logout?wait=20", nil)
}
