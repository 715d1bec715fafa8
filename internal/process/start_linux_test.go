package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/internal/environ"
	"github.com/seed-2ba35074/trellis/internal/rundir"
)

// N12, B03: ps shows the title of a program of ours, which itself knows what it was
// called by.
func TestN12_PsShowsTheTitle(t *testing.T) {
	spec := child0("facts", "block")
	spec.Name, spec.Title = "./walker", "trellis[walker@0123abcd]"
	p, l := startSpec(t, spec)
	if got := l.expect(t, "argv0 "); got != spec.Name {
		t.Errorf("os.Args[0] = %q", got)
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID()))
	if title, _, _ := strings.Cut(string(cmdline), "\x00"); title != spec.Title {
		t.Errorf("ps shows %q, %v", cmdline, err)
	}
	if p.Runner().Name() != spec.Title || p.Runner().ID() == "" {
		t.Error(p.Runner().Name(), p.Runner().ID())
	}
}

// N20, B03: a program that is not ours, as a shell, gets the name that it was called by.
func TestN20_OthersAreCalledByTheirName(t *testing.T) {
	for name, want := range map[string]string{"sh": "sh", "": "/bin/sh"} {
		t.Run(want, func(t *testing.T) {
			_, l := startSpec(t, Spec{Path: "/bin/sh", Name: name, Title: "trellis[walker@0123abcd]", Args: []string{"-c", "echo called $0 >&2"}})
			if got := l.expect(t, "called "); got != want {
				t.Errorf("called %q, want %q", got, want)
			}
		})
	}
}

// N20, X5: a child has the descriptors that it is given, and none that its host has
// inherited, or opened without close-on-exec.
func TestN20_DescriptorsOfTheHostStayThere(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(secret, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	_, l := startSpec(t, Spec{Path: "/bin/sh", Args: []string{"-c", "ls -l /proc/$$/fd | grep -c secret >&2; echo listed >&2"}, Env: environ.Base()})
	l.expect(t, "listed")
	if text := l.text(Stderr); text != "0\nlisted\n" {
		t.Errorf("the child's descriptors: %s", text)
	}
}

func TestF02_GroupSessionStdinAndFiles(t *testing.T) {
	leaves(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	spec := child0("facts", "block")
	spec.Files = []*os.File{r}
	spec.Env = append(spec.Env, "TWICE=1", "TWICE=2")
	p, l := launch(t, spec)
	closeAll(r, w)
	expect := func(what, want string) {
		t.Helper()
		if got := l.expect(t, what+" "); got != want {
			t.Errorf("%s = %s, expected %s", what, got, want)
		}
	}
	sid, _ := unix.Getsid(0)
	expect("group", p.Runner().ID())
	expect("session", fmt.Sprint(sid))
	expect("stdin", os.DevNull)
	expect("blocking", strings.Repeat("true ", 3)[:14])
	expect("lifelinevar", "")
	expect("twice", "2")
	// Whatever was inheritable here, init has made an end of it over there.
	expect("inheritable", "[0 1 2]")
	expect("grandchild's", "[0 1 2 3], <nil>")
}

func TestFilesBeginAtFour(t *testing.T) {
	leaves(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	spec := child0("read4")
	spec.Files = []*os.File{r}
	p, l := launch(t, spec)
	if _, err := w.WriteString("for the child"); err != nil {
		t.Fatal(err)
	}
	closeAll(r, w)
	if got := l.expect(t, "read "); got != "for the child" {
		t.Errorf("it read %q", got)
	}
	ended(t, p)
}

func TestN06_CancelledBeforeTheFork(t *testing.T) {
	leaves(t)
	why := errors.New("changed my mind")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	p := New(child0("exit:0"), nil)
	err := p.Start(ctx)
	if se := new(StartError); !errors.Is(err, why) || !errors.As(err, &se) {
		t.Errorf("Start = %v", err)
	}
	if p.Runner().ID() != "" || p.State() != Failed {
		t.Errorf("id %q, %v", p.Runner().ID(), p.State())
	}
	<-p.Done()
	if err := p.Runner().Wait(t.Context()); !errors.Is(err, why) {
		t.Errorf("Wait = %v", err)
	}
}

func TestN06_KilledBeforeStart(t *testing.T) {
	leaves(t)
	p := New(child0("exit:0"), nil)
	if err := p.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); !errors.Is(err, ErrKilled) {
		t.Errorf("Start = %v", err)
	}
	if err := p.Runner().Wait(t.Context()); !errors.Is(err, ErrKilled) || p.Runner().ID() != "" {
		t.Errorf("Wait = %v, id %q", err, p.Runner().ID())
	}
}

func TestN06_KilledWhileStarting(t *testing.T) {
	leaves(t)
	for range 10 {
		p := New(child0("block"), nil)
		started := make(chan error)
		go func() { started <- p.Start(context.Background()) }()
		if err := p.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-started; err != nil && !errors.Is(err, ErrKilled) {
			t.Fatal(err)
		}
		<-p.Done()
	}
}

func TestN06_CancelledWhileStarting(t *testing.T) {
	leaves(t)
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		p := New(child0("block"), nil)
		started := make(chan error)
		go func() { started <- p.Start(ctx) }()
		cancel()
		if err := <-started; err == nil {
			_ = p.Kill(t.Context())
		} else if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		<-p.Done()
	}
}

func TestN06_StartedTwice(t *testing.T) {
	p, _ := start(t, "block")
	if err := p.Start(t.Context()); err == nil || p.State() != Running {
		t.Error(err, p.State())
	}
}

func TestN15_FiftyInParallel(t *testing.T) {
	leaves(t)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			p := New(child0("handshake", fmt.Sprintf("exit:%d", i)), nil)
			if err := p.Start(t.Context()); err != nil {
				t.Error(err)
				return
			}
			<-p.Done()
			if exit, _ := p.Exit(); exit.Code != i {
				t.Errorf("exit %+v, expected %d", exit, i)
			}
		})
	}
	all.Wait()
}

func TestF05_StartErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o700); err != nil {
		t.Fatal(err)
	}
	zeros := strings.Repeat("0", 64)
	for _, c := range []struct {
		name string
		spec Spec
		is   error
		says string
	}{
		{"no file", Spec{Path: dir + "/none"}, syscall.ENOENT, "build it"},
		{"no file, with sum", Spec{Path: dir + "/none", SHA256: zeros}, syscall.ENOENT, "build it"},
		{"not executable", Spec{Path: write("plain", "#!/bin/sh\n", 0o644)}, syscall.EACCES, "chmod +x"},
		{"directory", Spec{Path: dir}, syscall.EACCES, "it is a directory"},
		{"directory, with sum", Spec{Path: dir, SHA256: zeros}, errNotRegular, "name the file"},
		{"pipe, with sum", Spec{Path: pipe, SHA256: zeros}, errNotRegular, "name the file"},
		{"no program", Spec{Path: write("text", "hello\n", 0o755)}, syscall.ENOEXEC, "build it for this machine"},
		{"no interpreter", Spec{Path: write("script", "#!/none/sh\n", 0o755)}, syscall.ENOENT, "interpreter"},
		{"below a file", Spec{Path: dir + "/text/x"}, syscall.ENOTDIR, "build it"},
		{"no working directory", Spec{Path: "/bin/sh", Dir: dir + "/none"}, syscall.ENOENT, "working directory"},
		{"no checksum", Spec{Path: "/bin/sh", SHA256: "abc"}, nil, "64 hex digits"},
		{"too much", Spec{Path: "/bin/sh", Env: []string{"X=" + strings.Repeat("x", 4<<20)}}, syscall.E2BIG, "too large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaves(t)
			p := New(c.spec, nil)
			err := p.Start(t.Context())
			se := new(StartError)
			if !errors.As(err, &se) || c.is != nil && !errors.Is(err, c.is) {
				t.Fatalf("Start = %#v", err)
			}
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.spec.Path) {
				t.Errorf("Start = %v, expected to read %q and the path", err, c.says)
			}
			if p.Runner().ID() != "" || p.State() != Failed {
				t.Errorf("id %q, %v", p.Runner().ID(), p.State())
			}
		})
	}
}

func TestF05_HintsForScarceThings(t *testing.T) {
	spec := Spec{Path: "/x"}
	for errno, says := range map[error]string{
		syscall.ENOMEM: "memory", syscall.EAGAIN: "ulimit -u", syscall.ENFILE: "file-max", syscall.ETXTBSY: "writing",
	} {
		if err := spec.explain(errno); !strings.Contains(err.Error(), says) {
			t.Error(err)
		}
	}
}

func TestF05_NoDescriptorsLeft(t *testing.T) {
	leaves(t)
	noDescriptors(t, child0("exit:0"))
}

// Need is not a reason to do without cgroups from then on.
func TestF05_NoDescriptorsForACgroup(t *testing.T) {
	spec, home := cgroupSpec(t, "exit:0")
	noDescriptors(t, spec)
	if _, err := rundir.Cgroup(); home != "" && err != nil {
		t.Error(err)
	}
	if left := below(t, home); home != "" && len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}

// noDescriptors starts a child with no free descriptor, with one, with two, …
// until there are enough.
func noDescriptors(t *testing.T, spec Spec) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)
	failed := 0
	for free := uint64(0); ; free++ {
		limit := old
		limit.Cur = uint64(openFiles()) + free
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		fds := openFiles()
		p := New(spec, nil)
		err := p.Start(t.Context())
		if err == nil {
			<-p.Done()
			break
		}
		failed++
		if !errors.Is(err, syscall.EMFILE) || !strings.Contains(err.Error(), "ulimit -n") {
			t.Fatalf("with %d free: %v", free, err)
		}
		if got := openFiles(); got != fds {
			t.Fatalf("with %d free: %d descriptors, before %d", free, got, fds)
		}
	}
	if failed < 8 {
		t.Errorf("only %d attempts failed", failed)
	}
}

func TestF03_Checksum(t *testing.T) {
	spec := child0("facts", "exit:4")
	spec.SHA256 = strings.ToUpper(sum(t, spec.Path))
	p, l := startSpec(t, spec)
	if exit := ended(t, p); exit.Code != 4 {
		t.Errorf("exit = %+v", exit)
	}
	if got := l.expect(t, "exe "); got != spec.Path {
		t.Errorf("it thinks that it is %s", got)
	}
}

func TestF03_ChecksumOfAScript(t *testing.T) {
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 6\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, _ := startSpec(t, Spec{Path: path, SHA256: sum(t, path)})
	if exit := ended(t, p); exit.Code != 6 {
		t.Errorf("exit = %+v", exit)
	}
}

func TestF03_ChecksumMismatch(t *testing.T) {
	leaves(t)
	spec := child0("exit:0")
	right := sum(t, spec.Path)
	spec.SHA256 = strings.Repeat("ab", 32)
	err := New(spec, nil).Start(t.Context())
	ce := new(ChecksumError)
	if !errors.As(err, &ce) || ce.Got != right || !strings.Contains(err.Error(), right) || !strings.Contains(err.Error(), spec.SHA256) {
		t.Errorf("Start = %v", err)
	}
}

func TestRelativePathIsTheHostsNotTheChilds(t *testing.T) {
	spec := child0("exit:9")
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if spec.Path, err = filepath.Rel(wd, spec.Path); err != nil {
		t.Fatal(err)
	}
	spec.Dir = t.TempDir()
	p, _ := startSpec(t, spec)
	if exit := ended(t, p); exit.Code != 9 {
		t.Errorf("exit = %+v", exit)
	}
}
