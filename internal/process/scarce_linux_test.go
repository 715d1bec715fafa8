package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
)

func init() {
	role("nofork", noFork)
}

// scarce runs this binary in a role that uses something up, and prints what happened,
// one fact a line.
func scarce(t *testing.T, role string, sys *syscall.SysProcAttr) (string, error) {
	t.Helper()
	spec := child0(role)
	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = slices.Concat(spec.Env, []string{"TMPDIR=" + os.Getenv("TMPDIR")}), os.Getenv("TMPDIR"), sys
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A fork that the system refuses: this user may have no further process. Whoever
// runs before goes on.
func TestF05_NoProcessLeft(t *testing.T) {
	tempdir.Use(t)
	out, err := scarce(t, "nofork", nil)
	if err != nil || !strings.Contains(out, "refused: cannot start /bin/true: resource temporarily unavailable: no further process allowed; raise the limit (ulimit -u, pids.max of the cgroup)") ||
		!strings.HasSuffix(out, "the first one lives\nanother one ended well\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// noFork becomes a user without processes, as root has no such limit.
func noFork(string) {
	if os.Getuid() == 0 {
		must(syscall.Setgid(54321))
		must(syscall.Setuid(54321))
	}
	spare()
	first := New(Spec{Path: "/bin/sleep", Args: []string{"1000"}}, nil)
	must(first.Start(context.Background()))
	var old syscall.Rlimit
	const nproc = unix.RLIMIT_NPROC
	must(syscall.Getrlimit(nproc, &old))
	fds := openFiles()
	must(syscall.Setrlimit(nproc, &syscall.Rlimit{Cur: 1, Max: old.Max}))
	p := New(Spec{Path: "/bin/true"}, nil)
	err := p.Start(context.Background())
	must(syscall.Setrlimit(nproc, &old))
	fmt.Println("refused:", err)
	if !errors.Is(err, syscall.EAGAIN) || p.PID() != 0 || p.State() != Failed || openFiles() != fds {
		panic(fmt.Sprint(err, p.PID(), p.State(), openFiles(), fds))
	}
	if err := syscall.Kill(first.PID(), 0); err == nil {
		fmt.Println("the first one lives")
	}
	again := New(Spec{Path: "/bin/true"}, nil)
	must(again.Start(context.Background()))
	must(again.Runner().Wait(context.Background()))
	must(first.Kill(context.Background()))
	fmt.Println("another one ended well")
}

// spare makes threads, which count as processes, so that the Go runtime has some
// in hand when it can get no more: without one it would crash.
func spare() {
	var ready, all sync.WaitGroup
	release := make(chan struct{})
	for range 20 {
		ready.Add(1)
		all.Go(func() {
			runtime.LockOSThread()
			ready.Done()
			<-release
			runtime.UnlockOSThread()
		})
	}
	ready.Wait()
	close(release)
	all.Wait()
}
