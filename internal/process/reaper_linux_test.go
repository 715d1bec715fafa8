package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/internal/environ"
)

func init() {
	role("subreaper", func(string) { must(unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) })
	role("ownproc", func(string) {
		must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		must(unix.Mount("proc", "/proc", "proc", 0, ""))
	})
	role("adopt", func(string) { adopt() })
}

// adopt has children of three kinds die: one of package os/exec, one that was forked by
// other means, and one that a Process has orphaned.
func adopt() {
	ours := exec.Command("/bin/sh", "-c", "exit 7")
	must(ours.Start())
	raw, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "exit 8"}, &syscall.ProcAttr{})
	must(err)
	l := &lines{ch: make(chan string, 10)}
	spec := child0("fork", "block")
	spec.Log = l.log
	p := New(spec, nil)
	must(p.Start(context.Background()))
	orphan := 0
	_, err = fmt.Sscanf(<-l.ch, "pid %d", &orphan)
	must(err)
	must(p.Kill(context.Background()))
	for deadline := time.Now().Add(patience); syscall.Kill(orphan, 0) == nil; runtime.Gosched() {
		if time.Now().After(deadline) {
			panic("the orphan is still a zombie")
		}
	}
	if exit, ok := errors.AsType[*exec.ExitError](ours.Wait()); !ok || exit.ExitCode() != 7 {
		panic("the exit code of os/exec's child is lost")
	}
	var status syscall.WaitStatus
	if pid, err := syscall.Wait4(raw, &status, 0, nil); err != nil || pid != raw || status.ExitStatus() != 8 {
		panic(fmt.Sprint("the exit code of a forked child is lost: ", err))
	}
	fmt.Println("adopted")
}

// N20, X7: PID 1 and subreapers reap what plugins orphan, and nobody else's children.
func TestN20_OrphansAreReaped(t *testing.T) {
	tests := map[string]*exec.Cmd{"subreaper": exec.Command(os.Args[0], "subreaper", "adopt")}
	if os.Getuid() == 0 {
		pid1 := exec.Command(os.Args[0], "ownproc", "adopt")
		pid1.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
		tests["PID 1"] = pid1
	}
	for name, cmd := range tests {
		t.Run(name, func(t *testing.T) {
			cmd.Env = append(environ.Base(), roleVar+"=1", "GORACE=atexit_sleep_ms=0")
			out, err := cmd.CombinedOutput()
			if errors.Is(err, syscall.EPERM) && name == "PID 1" {
				return // this root may not make namespaces
			}
			if err != nil || !strings.HasSuffix(string(out), "adopted\n") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
