package command

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/document"
)

// F02: Ctrl-C ends host dev with the code of that, and with it all that it has started: processes, the address, and
// folders.
func TestF02_CtrlCEndsDev(t *testing.T) {
	const address = "dev-ended"
	temporary, err := os.MkdirTemp("", "dev-") // short: names of sockets are in it
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.RemoveAll(temporary); err != nil {
			t.Error(err)
		}
	}()
	t.Setenv("TMPDIR", temporary)
	config := countingConfig(t)
	var said strings.Builder
	cmd := exec.CommandContext(t.Context(), "host", "dev", "-c", config, "--at", address)
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "host", "wait", "a", "-o", "json", "--at", address, "--timeout", "1m").Output()
	var there document.Listing
	if err = errors.Join(err, json.Unmarshal(out, &there)); err != nil || len(there.Actors) != 1 || there.Actors[0].PID == 0 {
		_ = cmd.Process.Kill()
		t.Fatalf("%s, %v, %v", out, err, cmd.Wait())
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if exit, ok := errors.AsType[*exec.ExitError](cmd.Wait()); !ok || exit.ExitCode() != 130 {
		t.Errorf("F02: host dev has ended with %v, want 130", exit)
	}
	if !strings.Contains(said.String(), "Ctrl-C: ending the tree in order") {
		t.Errorf("F02: it has said\n%s", &said)
	}
	if err := syscall.Kill(there.Actors[0].PID, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("F02: its plugin, process %d, is still there: %v", there.Actors[0].PID, err)
	}
	if exit, ok := errors.AsType[*exec.ExitError](exec.CommandContext(t.Context(), "host", "ps", "--at", address).Run()); !ok || exit.ExitCode() != exitNoHost {
		t.Errorf("F02: somebody still serves there: %v", exit)
	}
	err = filepath.WalkDir(temporary, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.HasPrefix(path, filepath.Dir(config)) {
			t.Errorf("F02: it has left %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
