package process

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func init() {
	roles["runtimedir"] = func(string) {
		dir, err := RuntimeDir()
		must(err)
		must(os.WriteFile(filepath.Join(dir, "socket"), nil, 0o600))
		fmt.Println(dir)
	}
	roles["chdir"] = func(dir string) { must(os.Chdir(dir)) }
	roles["closeruntimedir"] = func(string) { must(CloseRuntimeDir()) }
}

// tempDir is a short TMPDIR.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	return dir
}

// owner runs a program that makes a runtime directory and lives on.
func owner(t *testing.T) (cmd *exec.Cmd, dir string) {
	t.Helper()
	spec := child0("runtimedir", "block")
	cmd = exec.Command(spec.Path, spec.Args...)
	cmd.Env = spec.Env
	cmd.Stderr = os.Stderr
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, <-scan(r)
}

func TestN07_RuntimeDirSweptAfterAKilledOwner(t *testing.T) {
	tempDir(t)
	dead, deadDir := owner(t)
	_, liveDir := owner(t)
	if !exists(filepath.Join(deadDir, "socket")) {
		t.Fatalf("%q has nothing in it", deadDir)
	}
	_ = dead.Process.Kill()
	_ = dead.Wait()
	dir, err := RuntimeDir()
	if err != nil {
		t.Fatal(err)
	}
	if exists(deadDir) || !exists(filepath.Join(liveDir, "socket")) || !exists(dir) {
		t.Errorf("dead %v, live %v, own %v", exists(deadDir), exists(liveDir), exists(dir))
	}
	if again, err := RuntimeDir(); again != dir || err != nil {
		t.Error(again, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Error(info.Mode(), err)
	}
	// The longest name that go-plugin makes below it can be bound.
	sub := filepath.Join(dir, "plugin-dir1234567890")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(sub, "plugin1234567890"))
	if err != nil {
		t.Fatal(err)
	}
	socket.Close()
	if err := CloseRuntimeDir(); err != nil || exists(dir) {
		t.Error(err, exists(dir))
	}
	if err := CloseRuntimeDir(); err != nil {
		t.Error(err)
	}
}

func TestN07_RuntimeDirPathTooLong(t *testing.T) {
	long := filepath.Join(tempDir(t), strings.Repeat("x", 60))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", long)
	if _, err := RuntimeDir(); err == nil || !strings.Contains(err.Error(), "set TMPDIR to a shorter") {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(long); len(entries) != 0 {
		t.Error(entries)
	}
}

func TestN07_RuntimeDirOpenToOthersIsRefused(t *testing.T) {
	dir := tempDir(t)
	base := filepath.Join(dir, fmt.Sprintf("trellis-%d", os.Getuid()))
	if err := os.Mkdir(base, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := RuntimeDir(); err == nil || !strings.Contains(err.Error(), "0700") {
		t.Error(err)
	}
}

// Owners come while sweepers sweep: nobody loses a directory that he holds.
func TestN07_RuntimeDirClaimsAndSweepsTogether(t *testing.T) {
	base := tempDir(t)
	var all sync.WaitGroup
	stop := time.Now().Add(100 * time.Millisecond)
	for range 4 {
		all.Go(func() {
			for time.Now().Before(stop) {
				path, lock, err := claim(base)
				if err != nil {
					t.Error(err)
					return
				}
				sweep(base)
				if err := sameFile(lock, filepath.Join(path, lockName)); err != nil {
					t.Errorf("a held directory is gone: %v", err)
				}
				if err := removeLocked(path, lock); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// Removing what holds files takes a descriptor. Without one it is done later.
func TestF05_WhatCannotBeRemovedIsRemovedLater(t *testing.T) {
	t.Setenv("TMPDIR", tempDir(t))
	dir, err := RuntimeDir()
	if err != nil {
		t.Fatal(err)
	}
	defer CloseRuntimeDir()
	scratch := filepath.Join(dir, "scratch")
	if err := os.Mkdir(scratch, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(scratch, "socket"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	none := old
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	discard(scratch)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if !exists(scratch) {
		t.Fatal("it was removed without a descriptor; this test proves nothing")
	}
	if again, err := RuntimeDir(); err != nil || again != dir || exists(scratch) {
		t.Error(again, err, "it is still there:", exists(scratch))
	}
}

// B01: a runtime directory that was removed or replaced is noticed at the next use.
func TestF08_RuntimeDirIsMadeAnew(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"removed":           os.RemoveAll,
		"its parent, too":   func(dir string) error { return os.RemoveAll(filepath.Dir(dir)) },
		"emptied":           func(dir string) error { return os.Remove(filepath.Join(dir, lockName)) },
		"another in place":  func(dir string) error { return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)) },
		"open for everyone": func(dir string) error { return os.Chmod(dir, 0o777) },
		"a file":            func(dir string) error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			base := tempDir(t)
			first, err := RuntimeDir()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := CloseRuntimeDir(); err != nil {
					t.Error(err)
				}
			})
			if again, err := RuntimeDir(); err != nil || again != first {
				t.Errorf("untouched: %s and then %s, %v", first, again, err)
			}
			home, _ := Cgroups()
			if err := spoil(first); err != nil {
				t.Fatal(err)
			}
			second, err := RuntimeDir()
			if err != nil || second == first || !strings.HasPrefix(second, base) {
				t.Fatalf("%s and then %s, %v", first, second, err)
			}
			if _, err := lockDir(second, 0); !errors.Is(err, errLocked) {
				t.Errorf("its lock: %v", err)
			}
			if note, err := os.ReadFile(filepath.Join(second, cgroupNote)); home != "" && string(note) != home {
				t.Errorf("its cgroup is %s, the note says %q, %v", home, note, err)
			}
			if err := CloseRuntimeDir(); err != nil {
				t.Error(err)
			}
			if home != "" && exists(home) {
				t.Errorf("%s is left", home)
			}
		})
	}
}

// B01: it may be gone when the program ends.
func TestF08_RuntimeDirIsGoneAtTheEnd(t *testing.T) {
	tempDir(t)
	dir, err := RuntimeDir()
	if err != nil {
		t.Fatal(err)
	}
	home, _ := Cgroups()
	if err := errors.Join(os.RemoveAll(dir), CloseRuntimeDir()); err != nil {
		t.Error(err)
	}
	if home != "" && exists(home) {
		t.Errorf("%s is left", home)
	}
}

// F08: so with the cgroup of this program's children.
func TestF08_CgroupIsMadeAnew(t *testing.T) {
	tempDir(t)
	t.Cleanup(func() { _ = CloseRuntimeDir() })
	home, err := Cgroups()
	if err != nil {
		return // there are none here
	}
	if err := os.Remove(home); err != nil {
		t.Fatal(err)
	}
	if again, err := Cgroups(); err != nil || !exists(again) {
		t.Errorf("%s, %v", again, err)
	}
}

// B02: a relative TMPDIR is meant where the program was started.
func TestN20_RelativeTmpdir(t *testing.T) {
	temp := tempDir(t)
	spec := child0("chdir:/", "runtimedir")
	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Dir, cmd.Env = temp, slices.Concat(spec.Env, []string{"TMPDIR=."})
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), temp+"/trellis-") {
		t.Errorf("%s, %v", out, err)
	}
}

// X15: a directory whose note of a cgroup is damaged is told, and not for ever.
func TestF08_DamagedNoteIsSweptInTheEnd(t *testing.T) {
	tempDir(t)
	cmd, left := owner(t)
	if err := os.WriteFile(filepath.Join(left, cgroupNote), []byte("\x00damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	var told strings.Builder
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&told, nil)))
	t.Cleanup(func() { slog.SetDefault(old) })
	for range 2 {
		if _, err := RuntimeDir(); err != nil {
			t.Error(err)
		}
		if err := CloseRuntimeDir(); err != nil {
			t.Error(err)
		}
	}
	if exists(left) {
		t.Errorf("%s is left", left)
	}
	if strings.Count(told.String(), left) != 1 {
		t.Errorf("told: %s", told.String())
	}
}
