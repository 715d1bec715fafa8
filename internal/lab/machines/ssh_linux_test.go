//go:build lab

package machines_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startSSHD starts a server of OpenSSH on a machine, with keys of its own, and gives the command by which another machine runs
// something there.
func (w *world) startSSHD(machine string) (ssh []string) {
	w.t.Helper()
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		sshd = "/usr/sbin/sshd" // which is not in every PATH
	}
	for _, program := range []string{sshd, "ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(program); err != nil {
			w.t.Fatalf("this test needs the server and the client of OpenSSH, as in Debian's openssh-server: %v", err)
		}
	}
	for _, key := range []string{"hostkey", "userkey"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", w.path(key)).CombinedOutput(); err != nil {
			w.t.Fatalf("%v\n%s", err, out)
		}
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // which the system makes when it starts its own
		w.t.Fatal(err)
	}
	w.write("sshd_config", fmt.Sprintf(`
ListenAddress %s
HostKey %s
AuthorizedKeysFile %s
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
PidFile none
SetEnv TMPDIR=%s
`, w.Address(machine), w.path("hostkey"), w.path("userkey.pub"), w.Folder(machine)))
	w.startProgram(machine, sshd, "-D", "-e", "-f", w.path("sshd_config"))
	w.until("the server of ssh is ready", func() bool { return strings.Contains(w.procs[machine].errors.String(), "Server listening") })
	return []string{
		"ssh", "-F", "none", "-i", w.path("userkey"), "-oBatchMode=yes", "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR",
		"-oServerAliveInterval=5", "root@" + w.Address(machine),
	}
}

// running are the processes on a machine that are called so.
func (w *world) running(machine, name string) (pids []int) {
	for _, pid := range w.Processes(machine) {
		if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && strings.TrimSpace(string(comm)) == name {
			pids = append(pids, pid)
		}
	}
	return pids
}

// onlySSHD waits until nothing runs on a machine but the server itself, without a session.
func (w *world) onlySSHD(machine string) {
	w.t.Helper()
	w.until("nothing is left on "+machine+" but the server", func() bool { return len(w.Processes(machine)) == 1 })
}

// A root on one machine starts an agent on another one over ssh.
func TestD20_AnAgentOverSSH(t *testing.T) {
	w := newFleet(t, "b")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.end)
	command := append(w.startSSHD("b"), w.binary, "agent", "--join", "{{.Address}}", "--credentials", filepath.Join(w.folder, "{{.Name}}"), "--label", "kind=worker", "--until-input-ends")
	launch, err := json.Marshal(command)
	if err != nil {
		t.Fatal(err)
	}
	w.writeTree("supervision: {max_restarts: 100}", 1, self, w.path("ledger"))
	tree, err := os.ReadFile(w.path("tree.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w.write("tree.yaml", strings.Replace(string(tree), "lease: 3s", fmt.Sprintf("lease: 3s, agents: [{name: b, launch: %s}]", launch), 1))
	w.startRoot()
	first := w.holder()
	if got := w.machineOf(first); got != "b" {
		t.Errorf("the actor runs on %s, expected b", got)
	}
	sessions := w.running("a", "ssh")
	if len(sessions) != 1 {
		t.Fatalf("%d sessions, expected one\n%s", len(sessions), w.outputs())
	}
	begun := time.Now()
	if err := syscall.Kill(sessions[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := first
	w.until("the actor comes back", func() bool { second = w.holder(); return second.PID != first.PID })
	t.Logf("%v after its session of ssh was killed the actor was there again", time.Since(begun).Round(time.Millisecond))

	begun = time.Now()
	w.kill("a")
	w.empty("a")
	w.onlySSHD("b")
	t.Logf("%v after the root was killed nothing was left", time.Since(begun).Round(time.Millisecond))

	w.startRoot()
	w.holder()
	begun = time.Now()
	w.signal("a", syscall.SIGTERM)
	<-w.procs["a"].ended
	w.empty("a")
	w.onlySSHD("b")
	t.Logf("%v after SIGTERM the tree had ended, and nothing was left", time.Since(begun).Round(time.Millisecond))
}
