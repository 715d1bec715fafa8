package process

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/internal/environ"
)

func init() {
	role("facts", func(string) { facts() })
	role("host", func(words string) { actAsHost(child0(strings.Split(words, ",")...)) })
	role("foreignhost", func(path string) { actAsHost(Spec{Path: path, Env: environ.Base()}) })
	role("starts", func(string) {
		for range 4 {
			go func() {
				for {
					spec := Spec{Path: "/bin/sleep", Args: []string{"1000"}, Env: os.Environ()}
					must(New(spec, nil).Start(context.Background()))
					fmt.Println("one more")
				}
			}()
		}
		<-time.After(time.Hour)
	})
	role("read4", func(string) {
		text, err := io.ReadAll(os.NewFile(4, "4"))
		must(err)
		fmt.Fprintf(os.Stderr, "read %s\n", text)
	})
	role("deathsignal", func(string) {
		var sig int32
		must(unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&sig)), 0, 0, 0))
		fmt.Fprintln(os.Stderr, "deathsignal", sig)
	})
	if os.Getenv(roleVar) != "" {
		runtime.LockOSThread() // deathsignal asks about the main thread
	}
}

// facts tells on stderr how the child was started.
func facts() {
	say := func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	sid, _ := unix.Getsid(0)
	stdin, _ := os.Readlink("/proc/self/fd/0")
	exe, _ := os.Executable()
	say("argv0 %s", os.Args[0])
	say("exe %s", exe)
	say("group %d", syscall.Getpgrp())
	say("session %d", sid)
	say("stdin %s", stdin)
	var blocking []bool
	for fd := range 3 {
		flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		blocking = append(blocking, flags&unix.O_NONBLOCK == 0)
	}
	say("blocking %s", strings.Trim(fmt.Sprint(blocking), "[]"))
	say("lifelinevar %s", os.Getenv(environ.Lifeline))
	say("twice %s", os.Getenv("TWICE"))
	say("inheritable %v", inheritable())
	out, err := exec.Command("ls", "/proc/self/fd").Output() // its last one is that directory
	say("grandchild's %s, %v", strings.Fields(string(out)), err)
}

// inheritable lists the descriptors that are not close-on-exec.
func inheritable() (fds []int) {
	for fd := range 1000 {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			fds = append(fds, fd)
		}
	}
	return fds
}

// actAsHost runs one child, passes its lines on, and blocks.
func actAsHost(spec Spec) {
	spec.Log = func(line Line) { fmt.Printf("%s\n", line.Text) }
	must(New(spec, nil).Start(context.Background()))
	<-time.After(time.Hour)
}

// sum is a file's checksum.
func sum(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// gone waits until a process, which need not be a child, is dead. Nothing else than what
// the test has done may end it.
func gone(t *testing.T, pid int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH || err == unix.EINVAL { // the latter while its number still names a group
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(max(0, time.Until(deadline).Milliseconds())))
		if err == unix.EINTR {
			continue
		}
		if n == 0 {
			t.Errorf("process %d is alive", pid)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return
	}
}

// stopped waits until a process is stopped; there is no event for that to
// anybody but its parent.
func stopped(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(time.Millisecond) {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if _, rest, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(rest, "T") {
			return
		}
	}
	t.Fatalf("process %d does not stop", pid)
}

func TestN07_StoppedChildIsKilled(t *testing.T) {
	p, l := start(t, "fork", "pid", "stopgroup")
	grandchild, child := l.expectPID(t), l.expectPID(t)
	stopped(t, child)
	stopped(t, grandchild)
	if err := p.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if exit := ended(t, p); exit.Signal != syscall.SIGKILL {
		t.Errorf("exit = %+v", exit)
	}
	gone(t, grandchild)
}

// A host is killed with kill -9; its child and the child's own child are to be
// gone then, whatever they are doing. Nothing here asks the child to cooperate, apart
// from hold.
func TestN07_HostIsKilled(t *testing.T) {
	for _, words := range []string{
		"ignore,fork,pid,block",
		"ignore,hold,fork,pid,block",
		"ignore,fork,pid,stop",
		"ignore,hold,fork,pid,stop",
		"ignore,fork,pid,stopgroup",
		"ignore,hold,fork,pid,stopgroup",
		"holdelsewhere,fork,pid,block",
	} {
		t.Run(words, func(t *testing.T) { killHost(t, "host:"+words) })
	}
}

func killHost(t *testing.T, word string) {
	t.Helper()
	spec := child0(word)
	host := exec.Command(spec.Path, spec.Args...)
	host.Env = spec.Env
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	host.Stdout, host.Stderr = w, os.Stderr
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var pids []int
	for line := range scan(r) {
		if pid, err := strconv.Atoi(strings.TrimPrefix(line, "pid ")); err == nil {
			pids = append(pids, pid)
		}
		if len(pids) == 2 {
			break
		}
	}
	if len(pids) != 2 {
		t.Fatal("the host's child does not say who it is")
	}
	if strings.Contains(word, "stop") {
		stopped(t, pids[1])
	}
	_ = host.Process.Kill()
	_ = host.Wait()
	for _, pid := range pids {
		gone(t, pid)
	}
}

// A program that never heard of a lifeline, and whose child closes every
// descriptor that it inherits.
func TestN07_HostOfForeignProgramIsKilled(t *testing.T) {
	shell := filepath.Join(t.TempDir(), "foreign")
	script := "#!/bin/sh\ntrap '' TERM HUP INT\nsleep 1000 3<&- >&- 2>&- &\necho pid $! >&2\necho pid $$ >&2\nwait\n"
	if err := os.WriteFile(shell, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	killHost(t, "foreignhost:"+shell)
}

// The host is killed while it is forking: no moment between a fork and the
// lifeline's being aimed may let a child slip through.
func TestN07_HostIsKilledWhileItStarts(t *testing.T) {
	for i := range 10 {
		mark := fmt.Sprintf("PROCESS_TEST_MARK=%d-%d", os.Getpid(), i)
		spec := child0("starts")
		host := exec.Command(spec.Path, spec.Args...)
		host.Env = append(slices.Clip(spec.Env), mark)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		host.Stdout, host.Stderr = w, os.Stderr
		if err := host.Start(); err != nil {
			t.Fatal(err)
		}
		w.Close()
		said := scan(r)
		for range i + 1 {
			<-said
		}
		_ = host.Process.Kill()
		_ = host.Wait()
		noneMarked(t, mark)
		r.Close()
	}
}

// noneMarked waits until no process has an entry in its environment.
func noneMarked(t *testing.T, mark string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		left := marked(mark)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("processes %v are alive", left)
			for _, pid := range left {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			return
		}
		<-time.After(time.Millisecond)
	}
}

func marked(mark string) (pids []int) {
	entries, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, entry := range entries {
		// A zombie's environment is empty.
		if env, err := os.ReadFile(entry); err == nil && slices.Contains(strings.Split(string(env), "\x00"), mark) {
			pid, _ := strconv.Atoi(strings.Split(entry, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestLifelineIgnoresWhatIsNoPipe(t *testing.T) {
	spec := child0("hold", "facts", "exit:0")
	cmd := exec.Command(spec.Path, spec.Args...)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	cmd.Env = append(slices.Clone(spec.Env), environ.Lifeline+"=3")
	cmd.ExtraFiles = []*os.File{null}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "lifelinevar \n") || strings.Contains(string(out), "hold:") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestN07_HoldLifelineDropsTheDeathSignal(t *testing.T) {
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"deathsignal"}, "9"},
		{[]string{"hold", "deathsignal"}, "0"},
		{[]string{"hold", "hold", "deathsignal"}, "0"},
	} {
		t.Run(strings.Join(c.words, ","), func(t *testing.T) {
			_, l := start(t, c.words...)
			if got := l.expect(t, "deathsignal "); got != c.want {
				t.Errorf("%s, expected %s", got, c.want)
			}
		})
	}
}
