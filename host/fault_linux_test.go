package host_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/environ"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func init() {
	role("no disk", func() { inNeed(needDisk) })
	role("no descriptors", func() { inNeed(needDescriptors) })
	role("spins", func() {
		go func() {
			for i := 0; ; i++ {
				spun.Store(int64(i))
			}
		}()
		sdk.Serve(goodEndpoints()...)
	})
	role("no processes", func() {
		if os.Getuid() == 0 { // who has no such limit
			try(syscall.Setgid(54321))
			try(syscall.Setuid(54321))
		}
		inNeed(needProcesses)
	})
}

var spun atomic.Int64

func try(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// ownSpec is an actor of this test binary.
func ownSpec(name string) host.Spec {
	return host.Spec{Name: name, Command: []string{"/proc/self/exe"}, Env: map[string]string{
		roleVar: "good", "GORACE": "atexit_sleep_ms=0",
	}}
}

// inNeed starts an actor in plenty, others when something is scarce, and one in plenty again. need
// calls attempt as often as it likes, and leaves no need behind.
func inNeed(need func(attempt func() error) error) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	spare()
	try(host.OpenNursery(context.Background(), host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		first, err := n.Start(ctx, ownSpec("first"))
		if err != nil {
			return err
		}
		attempt := func() error {
			p, err := n.Start(ctx, ownSpec("needy"))
			if err == nil {
				err = p.Cancel(ctx, "done")
				<-p.Done()
				return err
			}
			if _, ok := errors.AsType[*host.StartError](err); !ok {
				return fmt.Errorf("no StartError: %w", err)
			}
			if err := answers(ctx, first); err != nil {
				return fmt.Errorf("the first actor is disturbed: %w", err)
			}
			return err
		}
		if err := need(attempt); err != nil {
			return err
		}
		last, err := n.Start(ctx, ownSpec("last"))
		if err != nil {
			return fmt.Errorf("after the need: %w", err)
		}
		err = errors.Join(answers(ctx, first), answers(ctx, last))
		n.Cancel()
		return err
	}))
	fmt.Println("all well")
}

func answers(ctx context.Context, p contract.Portal) error {
	text, err := echo.Call(ctx, p, "hello")
	if err == nil && text != "hello" {
		err = fmt.Errorf("got %q", text)
	}
	return err
}

// spare makes threads, which count as processes, so that the Go runtime has some
// in hand when it can get no more: without one it would crash.
func spare() {
	var ready, all sync.WaitGroup
	release := make(chan struct{})
	for range 40 {
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

// needProcesses lets this user have no further process.
func needProcesses(attempt func() error) error {
	var old syscall.Rlimit
	try(syscall.Getrlimit(unix.RLIMIT_NPROC, &old))
	try(syscall.Setrlimit(unix.RLIMIT_NPROC, &syscall.Rlimit{Cur: 1, Max: old.Max}))
	err := attempt()
	try(syscall.Setrlimit(unix.RLIMIT_NPROC, &old))
	fmt.Println("failed:", err)
	if !errors.Is(err, syscall.EAGAIN) {
		return fmt.Errorf("started without a process: %w", err)
	}
	return nil
}

// needDescriptors leaves this process so many descriptors that a start fails
// sooner or later in its course, until it does not.
func needDescriptors(attempt func() error) error {
	var old syscall.Rlimit
	try(syscall.Getrlimit(unix.RLIMIT_NOFILE, &old))
	for free := range uint64(100) {
		limit := syscall.Rlimit{Cur: highestFile() + 1, Max: old.Max}
		try(syscall.Setrlimit(unix.RLIMIT_NOFILE, &limit))
		taken := takeDescriptors()
		limit.Cur += free
		try(syscall.Setrlimit(unix.RLIMIT_NOFILE, &limit))
		err := attempt()
		try(syscall.Setrlimit(unix.RLIMIT_NOFILE, &old))
		for _, file := range taken {
			try(file.Close())
		}
		if err == nil {
			fmt.Println("started with", free)
			return nil
		}
		fmt.Println("failed:", err)
	}
	return errors.New("100 descriptors are not enough")
}

// takeDescriptors takes all that are free.
func takeDescriptors() (taken []*os.File) {
	for {
		file, err := os.Open(os.DevNull)
		if err != nil {
			return taken
		}
		taken = append(taken, file)
	}
}

func highestFile() (highest uint64) {
	for fd := range uint64(1000) {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			highest = fd
		}
	}
	return highest
}

// needDisk fills the file system, and makes room for one file after the other
// until a start succeeds.
func needDisk(attempt func() error) error {
	dir := os.Getenv("TMPDIR")
	fill := func() (files []string) {
		for {
			name := filepath.Join(dir, fmt.Sprint("fill", len(files)))
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				return files
			}
			files = append(files, name)
		}
	}
	for room := range 10 {
		files := fill()
		for _, name := range files[:room] {
			try(os.Remove(name))
		}
		err := attempt()
		for _, name := range files[room:] {
			try(os.Remove(name))
		}
		if err == nil {
			fmt.Println("started with room for", room)
			return nil
		}
		fmt.Println("failed:", err)
	}
	return errors.New("room for ten files is not enough")
}

// needy runs this binary in a role that brings itself into need. What it says
// about each failure comes back.
func needy(t *testing.T, cmd *exec.Cmd) []string {
	t.Helper()
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	text := string(out)
	if errors.Is(err, os.ErrPermission) || strings.HasPrefix(text, "no mount") {
		t.Logf("this machine lets nobody mount a small file system: %v", err)
		return nil
	}
	if err != nil || !strings.HasSuffix(text, "all well\n") {
		t.Fatalf("%v: %s", err, text)
	}
	t.Log(text)
	var failures []string
	for line := range strings.Lines(text) {
		if failure, ok := strings.CutPrefix(line, "failed: "); ok {
			failures = append(failures, failure)
		}
	}
	return failures
}

func inRole(t *testing.T, role string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(environ.Base(), roleVar+"="+role)
	return cmd
}

func TestF05_NoProcessForAnActor(t *testing.T) {
	shortTemp(t)
	if err := os.Chmod(os.Getenv("TMPDIR"), 0o777); err != nil {
		t.Fatal(err)
	}
	failures := needy(t, inRole(t, "no processes"))
	if len(failures) != 1 || !strings.Contains(failures[0], `actor "needy" did not start`) || !strings.Contains(failures[0], "no further process allowed; raise the limit") {
		t.Errorf("%q", failures)
	}
}

func TestF05_NoDescriptorForAnActor(t *testing.T) {
	shortTemp(t)
	failures := needy(t, inRole(t, "no descriptors"))
	if len(failures) < 8 {
		t.Errorf("only %d attempts failed", len(failures))
	}
	for _, f := range failures {
		if !strings.Contains(f, `actor "needy" did not start`) || !strings.Contains(f, "too many open files") {
			t.Errorf("unclear: %s", f)
		}
	}
}

func TestF05_NoRoomForAnActorsSockets(t *testing.T) {
	shortTemp(t)
	cmd := inRole(t, "no disk")
	// The shell mounts in a namespace of its own, and becomes the host.
	cmd.Args = append([]string{"sh", "-c", `mount -t tmpfs -o size=32k,nr_inodes=30,mode=0700 tmpfs "$TMPDIR" || { echo no mount; exit; }; exec "$@"`, "sh"}, cmd.Path)
	cmd.Path = "/bin/sh"
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
	}
	failures := needy(t, cmd)
	if failures != nil && len(failures) < 3 {
		t.Errorf("only %d attempts failed", len(failures))
	}
	for _, f := range failures {
		if !strings.Contains(f, `actor "needy" did not start`) || !strings.Contains(f, "no space left on device") {
			t.Errorf("unclear: %s", f)
		}
	}
}

func TestF05_LimitIsInTheDeathOfAnActor(t *testing.T) {
	parallel(t)
	s := spec(t, "spender", "spins")
	s.Limits.CPU = config.Duration(time.Second)
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		_, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		<-ctx.Done()
		return context.Cause(ctx)
	})
	died, ok := errors.AsType[*fault.ActorDied](err)
	if !ok || !strings.Contains(err.Error(), "it ran into its limit of cpu: it used up its 1s of processor time") {
		t.Errorf("got %v, %+v", err, died)
	}
}
