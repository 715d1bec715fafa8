package process

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
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
