package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/internal/cgroup"
	"github.com/seed-2ba35074/trellis/internal/environ"
)

func init() {
	role("rlimits", func(string) {
		for _, resource := range []int{unix.RLIMIT_NOFILE, unix.RLIMIT_CORE, unix.RLIMIT_CPU, unix.RLIMIT_FSIZE} {
			var r unix.Rlimit
			must(unix.Getrlimit(resource, &r))
			fmt.Fprintf(os.Stderr, "rlimit %d %d\n", r.Cur, r.Max)
		}
	})
	role("eat", func(mib string) {
		n, err := strconv.Atoi(mib)
		must(err)
		block := make([]byte, n<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		fmt.Fprintln(os.Stderr, "ate", len(block))
	})
}

func TestF05_LimitsAreSet(t *testing.T) {
	spec := child0("block")
	spec.Limits = Limits{OpenFiles: 100, Core: new(int64), CPU: time.Minute, FileSize: 1 << 20}
	p, _ := startSpec(t, spec)
	// Asked from outside: they are there when Start returns, whatever the child does.
	for resource, want := range map[int]unix.Rlimit{
		unix.RLIMIT_NOFILE: {Cur: 100, Max: 100}, unix.RLIMIT_CORE: {}, unix.RLIMIT_CPU: {Cur: 60, Max: 61}, unix.RLIMIT_FSIZE: {Cur: 1 << 20, Max: 1 << 20},
	} {
		var got unix.Rlimit
		if err := unix.Prlimit(p.PID(), resource, nil, &got); err != nil || got != want {
			t.Errorf("resource %d: %+v, %v, want %+v", resource, got, err, want)
		}
	}
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &own); err != nil || own.Cur == 1<<20 {
		t.Errorf("the host's own limit is %+v, %v", own, err)
	}
}

func TestF05_LimitThatIsHitIsInTheDeath(t *testing.T) {
	// A limit holds from Start's return on, so that a script begins after that.
	shell := func(script string) Spec {
		return Spec{Path: "/bin/sh", Args: []string{"-c", "until [ -e begin ]; do sleep 0.01; done; " + script}, Dir: t.TempDir(), Env: environ.Base()}
	}
	for name, c := range map[string]struct {
		spec   Spec
		limits Limits
		says   string
	}{
		"cpu":       {shell("while :; do :; done"), Limits{CPU: time.Second}, "cpu: it used up its 1s of processor time"},
		"file size": {shell("exec head -c 100000 /dev/zero >file"), Limits{FileSize: 5000}, "file_size: it wrote a file past the limit of 5000 bytes"},
		"none":      {shell("kill -9 $$"), Limits{CPU: time.Minute, FileSize: 5000}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.spec.Limits = c.limits
			p, _ := startSpec(t, c.spec)
			if err := os.WriteFile(filepath.Join(c.spec.Dir, "begin"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if exit := ended(t, p); exit.Limit != c.says || exit.Signal == 0 {
				t.Errorf("exit = %+v, want the limit %q", exit, c.says)
			}
			if err := p.Runner().Wait(t.Context()); err == nil || c.says != "" && !strings.Contains(err.Error(), "it ran into its limit of "+c.says) {
				t.Error(err)
			}
		})
	}
}

func TestF05_LimitsOfAllProcessesTogether(t *testing.T) {
	for name, c := range map[string]struct {
		words  []string
		limits Limits
		says   string
	}{
		"memory":    {[]string{"eat:200"}, Limits{Memory: 100 << 20}, "memory: the kernel killed 1 of its processes at the limit of 100 MiB"},
		"processes": {append(slices.Repeat([]string{"fork"}, 30), "exit:1"), Limits{Processes: 25}, "processes: "},
	} {
		t.Run(name, func(t *testing.T) {
			spec, _ := cgroupSpec(t, c.words...)
			spec.Limits = c.limits
			p := New(spec, nil)
			err := p.Start(t.Context())
			<-p.Done()
			if le := new(LimitError); err != nil {
				// This machine gives none: nothing was started, and the error says why.
				if !errors.Is(err, cgroup.ErrNone) || !errors.As(err, &le) || le.Limit != name || p.PID() != 0 {
					t.Errorf("Start = %v", err)
				}
				t.Log(err)
				return
			}
			<-p.Flushed()
			if exit, _ := p.Exit(); !strings.HasPrefix(exit.Limit, c.says) {
				t.Errorf("exit = %+v, want the limit %q", exit, c.says)
			}
		})
	}
}

func TestF05_LimitAboveTheHostsOwn(t *testing.T) {
	leaves(t)
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		t.Fatal(err)
	}
	spec := child0("exit:0")
	spec.Limits.OpenFiles = int(own.Max) + 1
	p := New(spec, nil)
	err := p.Start(t.Context())
	if le := new(LimitError); !errors.As(err, &le) || le.Limit != "open_files" || !strings.Contains(err.Error(), fmt.Sprintf("expected at most %d", own.Max)) {
		t.Errorf("Start = %v", err)
	}
	if p.PID() != 0 || p.State() != Failed {
		t.Error(p.PID(), p.State())
	}
}

func TestF05_WhichLimitWasHit(t *testing.T) {
	killed, failed := Exit{Code: -1, Signal: syscall.SIGKILL}, Exit{Code: 1}
	l := Limits{CPU: time.Minute, Memory: 1 << 30, Processes: 50}
	for name, c := range map[string]struct {
		exit  Exit
		used  usage
		asked bool
		want  string
	}{
		"hard limit of a program that ignores the soft one": {killed, usage{cpu: 61 * time.Second}, false, "cpu: it used up its 1m0s of processor time"},
		"killed by the host after much work":                {killed, usage{cpu: 61 * time.Second, oomKills: 1, refused: 1}, true, ""},
		"out of memory":                                     {killed, usage{oomKills: 2}, false, "memory: the kernel killed 2 of its processes at the limit of 1024 MiB"},
		"killed by somebody":                                {killed, usage{cpu: time.Second}, false, ""},
		"failed for lack of processes":                      {failed, usage{refused: 3}, false, "processes: 3 forks were refused at the limit of 50"},
		"failed otherwise":                                  {failed, usage{cpu: time.Hour}, false, ""},
		"ended well all the same":                           {Exit{}, usage{refused: 3, oomKills: 1}, false, ""},
	} {
		if got := l.hit(c.exit, c.used, c.asked); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// The limits are a process's own: a sibling that is started at the same time has
// none.
func TestF05_LimitsAreNotTheSiblings(t *testing.T) {
	limited := child0("rlimits")
	limited.Limits.FileSize = 54321
	free := child0("rlimits")
	leaves(t)
	for range 5 {
		a, _ := launch(t, limited)
		b, l := launch(t, free)
		for range 4 {
			if line := l.expect(t, "rlimit "); strings.Contains(line, "54321") {
				t.Errorf("a sibling has the limit %s", line)
			}
		}
		ended(t, a)
		ended(t, b)
	}
	if err := os.WriteFile(filepath.Join(t.TempDir(), "large"), make([]byte, 60000), 0o600); err != nil {
		t.Errorf("the host itself is limited: %v", err)
	}
}
