package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/cgroup"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/rundir"
)

func init() {
	role("sweep", func(string) {
		_, err := rundir.Open()
		must(err)
	})
	role("squat", func(folder string) {
		for range 4 { // each in a session of its own, which only the cgroup ends
			cmd := exec.Command("/bin/sh", "-c", "while :; do mkdir -p "+folder+"/x; done")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			must(cmd.Start())
		}
	})
	role("cgrouphost", func(words string) {
		spec := child0(strings.Split(words, ",")...)
		spec.Cgroup = true
		home, err := rundir.Cgroup()
		fmt.Printf("home %s %v\n", home, err)
		actAsHost(spec)
	})
}

// cgroupSpec is a child in a cgroup of its own below a runtime directory of this
// test's. Where the machine gives none, home is "" and the test says what holds
// then.
func cgroupSpec(t *testing.T, words ...string) (spec Spec, home string) {
	t.Helper()
	leaves(t)
	tempdir.Use(t)
	home, err := rundir.Cgroup()
	if err != nil {
		t.Logf("no cgroups here: %v", err)
	}
	t.Cleanup(func() {
		if err := rundir.Close(); err != nil {
			t.Error(err)
		}
		if home != "" && exists(home) {
			t.Errorf("%s is left", home)
		}
	})
	spec = child0(words...)
	spec.Cgroup = true
	return spec, home
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// below lists the children's cgroups.
func below(t *testing.T, home string) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(home, "*", cgroup.Main))
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// fled checks what became of a process that had left its group: with a cgroup it
// is gone, without one nobody could find it.
func fled(t *testing.T, home string, pid int) {
	t.Helper()
	if home != "" {
		gone(t, pid)
		if left := below(t, home); len(left) > 0 {
			t.Errorf("%v are left", left)
		}
		return
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("it is gone without a cgroup: %v", err)
	}
}

func TestN08_KillReachesWhatFledFromTheGroup(t *testing.T) {
	spec, home := cgroupSpec(t, "fork:setsid", "pid", "block")
	p, l := launch(t, spec)
	daemon, child := l.expectPID(t), l.expectPID(t)
	if home != "" {
		dirs := below(t, home)
		if len(dirs) != 1 {
			t.Fatalf("cgroups %v", dirs)
		}
		procs, err := os.ReadFile(filepath.Join(dirs[0], "cgroup.procs"))
		got, want := strings.Fields(string(procs)), []string{strconv.Itoa(child), strconv.Itoa(daemon)} // they have no order
		slices.Sort(got)
		if slices.Sort(want); err != nil || !slices.Equal(got, want) {
			t.Errorf("processes %q, %v, want %q", got, err, want)
		}
	}
	if err := p.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	fled(t, home, daemon)
}

func TestN07_WhatADeadChildLeftIsGoneWhenItIsDone(t *testing.T) {
	spec, home := cgroupSpec(t, "fork:setsid", "exit:3")
	p, l := launch(t, spec)
	daemon := l.expectPID(t)
	if exit := ended(t, p); exit.Code != 3 {
		t.Errorf("exit = %+v", exit)
	}
	fled(t, home, daemon)
}

func TestN15_FiftyCgroupsInParallel(t *testing.T) {
	spec, home := cgroupSpec(t, "exit:0")
	var all []*Process
	for range 50 {
		p := New(spec, nil)
		all = append(all, p)
		go func() { _ = p.Start(context.Background()) }() // its Wait tells
	}
	for _, p := range all {
		if err := p.Runner().Wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if left := below(t, home); home != "" && len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}

// A host is killed, and with it its child; what the child had started in a session
// of its own lives on, until the next start.
func TestN07_NextStartSweepsTheCgroupsOfAKilledHost(t *testing.T) {
	tempdir.Use(t)
	spec := child0("cgrouphost:fork:setsid,pid,block")
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
	said := scan(r)
	home, _, _ := strings.Cut(strings.TrimPrefix(<-said, "home "), " ")
	var pids []int
	for range 2 {
		pid, err := strconv.Atoi(strings.TrimPrefix(<-said, "pid "))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	_ = host.Process.Kill()
	_ = host.Wait()
	gone(t, pids[1])
	if err := syscall.Kill(pids[0], 0); err != nil {
		t.Errorf("what has fled is dead before the sweep: %v", err)
	}
	if _, err := rundir.Open(); err != nil {
		t.Fatal(err)
	}
	defer rundir.Close()
	fled(t, home, pids[0])
	if home != "" && exists(home) {
		t.Errorf("%s is left", home)
	}
	if left, _ := filepath.Glob(os.Getenv("TMPDIR") + "/*/*"); len(left) != 1 {
		t.Errorf("runtime directories %v, want this program's own", left)
	}
}

// A sweep never touches the cgroups of a program that lives.
func TestN07_SweepLeavesTheLivingAlone(t *testing.T) {
	spec, home := cgroupSpec(t, "pid", "block")
	_, l := launch(t, spec)
	pid := l.expectPID(t)
	other := child0("sweep")
	cmd := exec.Command(other.Path, other.Args...)
	cmd.Env = slices.Concat(other.Env, []string{"TMPDIR=" + os.Getenv("TMPDIR")})
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Error(err)
	}
	if home != "" && len(below(t, home)) != 1 {
		t.Error("its cgroup is gone")
	}
}

func TestCgroupsOffOrNowhere(t *testing.T) {
	for value, says := range map[string]string{"off": "is off", "/": "expected a directory of cgroup v2 or off"} {
		t.Run(value, func(t *testing.T) {
			t.Setenv(cgroup.Variable, value)
			spec, home := cgroupSpec(t, "fork:setsid", "exit:0")
			if _, err := rundir.Cgroup(); home != "" || err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("Cgroups = %q, %v", home, err)
			}
			p, l := launch(t, spec)
			daemon := l.expectPID(t)
			if exit := ended(t, p); !exit.Success() {
				t.Errorf("exit = %+v", exit)
			}
			fled(t, home, daemon)
			spec.Limits.Memory = 1 << 30
			err := New(spec, nil).Start(t.Context())
			if !errors.Is(err, cgroup.ErrNone) || !strings.Contains(err.Error(), "limits.memory: this machine has no cgroup for it: ") {
				t.Errorf("Start = %v", err)
			}
		})
	}
}

// A cgroup that takes no processes is found out at the first start, which then
// does without.
func TestCgroupThatRefusesIsDoneWithout(t *testing.T) {
	base, err := cgroup.Base()
	if err == nil {
		base, err = os.MkdirTemp(base, "trellis-test-")
	}
	if err != nil {
		t.Logf("no cgroups here: %v", err)
		return
	}
	defer func() {
		if err := cgroup.Remove(base); err != nil {
			t.Error(err)
		}
	}()
	threaded := filepath.Join(base, "threaded")
	if err := os.Mkdir(threaded, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(threaded, "cgroup.type"), []byte("threaded"), 0); err != nil {
		t.Fatal(err)
	}
	t.Setenv(cgroup.Variable, threaded)
	spec, _ := cgroupSpec(t, "exit:5")
	for range 2 {
		p, _ := launch(t, spec)
		if exit := ended(t, p); exit.Code != 5 {
			t.Errorf("exit = %+v", exit)
		}
		if _, err := rundir.Cgroup(); err == nil || !strings.Contains(err.Error(), "no process can be started in") {
			t.Errorf("Cgroups = %v", err)
		}
	}
}

// N20: what an actor has started may still write into a directory when it is dead itself, and not any more when
// it is done.
func TestN20_AStragglerDoesNotKeepADirectory(t *testing.T) {
	scratch := filepath.Join(t.TempDir(), "scratch")
	spec, home := cgroupSpec(t, "squat:"+scratch, "exit:0")
	if home == "" {
		return // nobody can end what has left its group
	}
	for range 10 {
		if err := os.Mkdir(scratch, 0o700); err != nil {
			t.Fatal(err)
		}
		p := New(spec, nil)
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		rundir.Discard(scratch)
		if exists(scratch) {
			t.Fatal("it is there again")
		}
	}
}
