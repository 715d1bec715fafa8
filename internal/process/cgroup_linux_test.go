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
	"time"
)

func init() {
	roles["cgrouphost"] = func(words string) {
		spec := child0(strings.Split(words, ",")...)
		spec.Cgroup = true
		home, err := Cgroups()
		fmt.Printf("home %s %v\n", home, err)
		actAsHost(spec)
	}
}

// cgroupSpec is a child in a cgroup of its own below a runtime directory of this
// test's. Where the machine gives none, home is "" and the test says what holds
// then.
func cgroupSpec(t *testing.T, words ...string) (spec Spec, home string) {
	t.Helper()
	leaves(t)
	tempDir(t)
	home, err := Cgroups()
	if err != nil {
		t.Logf("no cgroups here: %v", err)
	}
	t.Cleanup(func() {
		if err := CloseRuntimeDir(); err != nil {
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

// below lists the children's cgroups.
func below(t *testing.T, home string) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(home, "*", cgroupMain))
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
		if want := fmt.Sprintf("%d\n%d\n", min(child, daemon), max(child, daemon)); err != nil || string(procs) != want {
			t.Errorf("processes %q, %v, want %q", procs, err, want)
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
		if err := p.Wait(t.Context()); err != nil {
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
	tempDir(t)
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
	if _, err := RuntimeDir(); err != nil {
		t.Fatal(err)
	}
	defer CloseRuntimeDir()
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
	other := child0("runtimedir")
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

func TestN07_ForgedNoteIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, cgroupNote), []byte("/sys/fs/cgroup/system.slice"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := clearCgroups(dir); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Error(err)
	}
}

func TestCgroupsOffOrNowhere(t *testing.T) {
	for value, says := range map[string]string{"off": "is off", "/": "expected a directory of cgroup v2 or off"} {
		t.Run(value, func(t *testing.T) {
			t.Setenv(cgroupVar, value)
			spec, home := cgroupSpec(t, "fork:setsid", "exit:0")
			if _, err := Cgroups(); home != "" || err == nil || !strings.Contains(err.Error(), says) {
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
			if !errors.Is(err, ErrNoCgroup) || !strings.Contains(err.Error(), "limits.memory: this machine has no cgroup for it: ") {
				t.Errorf("Start = %v", err)
			}
		})
	}
}

// A cgroup that takes no processes is found out at the first start, which then
// does without.
func TestCgroupThatRefusesIsDoneWithout(t *testing.T) {
	base, err := ownCgroup()
	if err == nil {
		base, err = os.MkdirTemp(base, "trellis-test-")
	}
	if err != nil {
		t.Logf("no cgroups here: %v", err)
		return
	}
	defer func() {
		if err := removeCgroup(base); err != nil {
			t.Error(err)
		}
	}()
	threaded := filepath.Join(base, "threaded")
	if err := os.Mkdir(threaded, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeCgroup(filepath.Join(threaded, "cgroup.type"), "threaded"); err != nil {
		t.Fatal(err)
	}
	t.Setenv(cgroupVar, threaded)
	spec, _ := cgroupSpec(t, "exit:5")
	for range 2 {
		p, _ := launch(t, spec)
		if exit := ended(t, p); exit.Code != 5 {
			t.Errorf("exit = %+v", exit)
		}
		if _, err := Cgroups(); err == nil || !strings.Contains(err.Error(), "no process can be started in") {
			t.Errorf("Cgroups = %v", err)
		}
	}
}

func TestFindCgroup(t *testing.T) {
	const v1 = "25 24 0:21 / /sys/fs/cgroup/memory rw - cgroup none rw,memory\n"
	for name, c := range map[string]struct{ cgroups, mounts, want string }{
		"v2 alone":       {"0::/user.slice/a.scope\n", "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 none rw\n", "/sys/fs/cgroup/user.slice/a.scope"},
		"hybrid":         {"4:memory:/x\n0::/\n", v1 + "30 24 0:26 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n", "/sys/fs/cgroup/unified"},
		"part of it":     {"0::/docker/abc/sub\n", "30 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "/sys/fs/cgroup/sub"},
		"another part":   {"0::/other\n", "30 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n", ""},
		"like its name":  {"0::/docker/abcd\n", "30 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n", ""},
		"second mount":   {"0::/a\n", "30 24 0:26 /b /b rw - cgroup2 cgroup rw\n31 24 0:26 / /c\\040d rw - cgroup2 cgroup rw\n", "/c d/a"},
		"v1 alone":       {"4:memory:/x\n", v1, ""},
		"nothing":        {"", "", ""},
		"out of its own": {"0::/../x\n", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := findCgroup(c.cgroups, c.mounts)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestStuckCgroupIsReported(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "cgroup.events"), []byte("populated 1\nfrozen 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := awaitEmpty(dir, time.Now().Add(time.Millisecond))
	if err == nil || !strings.Contains(err.Error(), "still has processes") {
		t.Error(err)
	}
}
