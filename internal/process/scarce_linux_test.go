package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func init() {
	roles["fulldisk"] = fullDisk
	roles["nofork"] = noFork
}

// scarce runs this binary in a role that brings itself into need and tells what
// happened, one fact a line.
func scarce(t *testing.T, role string, sys *syscall.SysProcAttr) (string, error) {
	t.Helper()
	spec := child0(role)
	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = slices.Concat(spec.Env, []string{"TMPDIR=" + os.Getenv("TMPDIR")}), os.Getenv("TMPDIR"), sys
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A runtime directory that cannot be made is a clear error, and leaves nothing. On
// a file system that has room for nothing, for one more file, for two, ….
func TestF05_FullDisk(t *testing.T) {
	tempDir(t)
	sys := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		sys = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
	}
	out, err := scarce(t, "fulldisk", sys)
	if errors.Is(err, os.ErrPermission) || strings.Contains(out, "no mount") {
		t.Log("this machine lets nobody mount a small file system; TestF05_NowhereToWrite shows the rest")
		return
	}
	if failed := strings.Count(out, "failed"); err != nil || failed < 3 || !strings.HasSuffix(out, "made and closed\n") {
		t.Errorf("%d failures, %v: %s", failed, err, out)
	}
}

// fullDisk mounts a file system with few inodes (a directory and an empty file
// need no more) and makes room for one after the other.
func fullDisk(string) {
	dir := os.Getenv("TMPDIR")
	must(os.Chdir("/"))
	for inodes := 1; ; inodes++ {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=16k,nr_inodes=%d,mode=0700", inodes)); err != nil {
			fmt.Println("no mount:", err)
			return
		}
		_, err := RuntimeDir()
		if err == nil {
			must(CloseRuntimeDir())
			fmt.Println("made and closed")
			return
		}
		left, _ := filepath.Glob(dir + "/*/*")
		fmt.Printf("failed with %d inodes: %v\n", inodes, err)
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "TMPDIR must name a directory that can be written") || len(left) > 0 {
			panic(fmt.Sprintf("%v; left: %v", err, left))
		}
		must(unix.Unmount(dir, 0))
	}
}

func TestF05_NowhereToWrite(t *testing.T) {
	for dir, errno := range map[string]error{"/proc": syscall.ENOENT, "/dev/null": syscall.ENOTDIR, "/none": syscall.ENOENT} {
		t.Setenv("TMPDIR", dir)
		if _, err := RuntimeDir(); !errors.Is(err, errno) || !strings.Contains(err.Error(), "TMPDIR must name a directory that can be written") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// A fork that the system refuses: this user may have no further process. Whoever
// runs before goes on.
func TestF05_NoProcessLeft(t *testing.T) {
	tempDir(t)
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
	must(again.Wait(context.Background()))
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
