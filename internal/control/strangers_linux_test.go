package control_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/internal/control"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/rundir"
)

// D04: what has taken the place of a socket that a killed host has left stays, whoever starts; only that host's lock goes.
func TestD04_TheSweepTakesNothingOver(t *testing.T) {
	for name, put := range map[string]func(t *testing.T, path string){
		"a file": func(t *testing.T, path string) { must(t, os.WriteFile(path, nil, 0o600)) },
		"a listener": func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			must(t, err)
			t.Cleanup(func() { _ = l.Close() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tempdir.Use(t)
			killed(t, "default")
			path, err := rundir.Socket("default")
			must(t, err)
			must(t, os.Remove(path))
			put(t, path)
			before, err := os.Lstat(path)
			must(t, err)
			_, err = rundir.Open()
			must(t, err)
			must(t, rundir.Close())
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("D04: what was there is gone: %v", err)
			}
			if files := left(t, dir); len(files) != 2 {
				t.Errorf("N07: %v is left; want only what was there", files)
			}
		})
	}
}

// D04: nothing that is not a host's is ever removed, and nobody is served where others could get in.
func TestD04_NothingIsTakenOver(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(t *testing.T, path string)
		serve   string // what the error of Listen says
		join    string
	}{
		"a file": {func(t *testing.T, path string) {
			must(t, os.WriteFile(path, nil, 0o600))
		}, "expected a socket", "expected a socket"},
		"a folder": {func(t *testing.T, path string) {
			must(t, os.Mkdir(path, 0o700))
		}, "expected a socket", "expected a socket"},
		"a symlink": {func(t *testing.T, path string) {
			other := listen(t, filepath.Join(filepath.Dir(path), "other"))
			must(t, os.Symlink(other.Path(), path))
		}, "expected a socket", "expected a socket"},
		"a symlink to nowhere": {func(t *testing.T, path string) {
			must(t, os.Symlink("/nowhere/at/all", path))
		}, "expected a socket", "expected a socket"},
		"a listener that is not a host": {func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			must(t, err)
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Write([]byte("220 smtp.example.com ready\r\n"))
					_ = conn.Close()
				}
			}()
		}, "a program that is not a host listens there", "another kind of program"},
		"a folder in the place of the lock": {func(t *testing.T, path string) {
			must(t, os.Mkdir(path+".lock", 0o700))
		}, "is a directory", "expected a socket"},
		"a folder that others can read": {func(t *testing.T, path string) {
			must(t, os.Chmod(filepath.Dir(path), 0o755))
		}, "mode 0700", "mode 0700"},
		"a folder of another user": {func(t *testing.T, path string) {
			must(t, os.Chown(filepath.Dir(path), 1, 1))
		}, "of this user's", "of this user's"},
		"a folder in one that others can write": {func(t *testing.T, path string) {
			must(t, os.Chmod(filepath.Dir(filepath.Dir(path)), 0o777))
		}, "can be written by others", "can be written by others"},
		"a folder that is a symlink": {func(t *testing.T, path string) {
			folder := filepath.Dir(path)
			must(t, os.Rename(folder, folder+"2"))
			must(t, os.Symlink(folder+"2", folder))
		}, "must be a folder", "must be a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(tempdir.Use(t), "own")
			must(t, os.Mkdir(folder, 0o700))
			path := filepath.Join(folder, "socket")
			test.prepare(t, path)
			before, err := os.Lstat(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if l, err := control.Listen(path); err == nil || !strings.Contains(err.Error(), test.serve) {
				t.Errorf("D04: Listen: %v, %v", l, err)
			}
			if before == nil {
				must(t, os.WriteFile(path, nil, 0o600))
			}
			if _, _, err := control.Join(t.Context(), path, hello("guest")); err == nil || !strings.Contains(err.Error(), test.join) {
				t.Errorf("D04: Join: %v", err)
			}
			if after, err := os.Lstat(path); before != nil && (err != nil || !os.SameFile(before, after)) {
				t.Errorf("D04: what was there is gone: %v", err)
			}
		})
	}
}

// as does something on a thread of another user's.
func as(t *testing.T, uid int, do func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock it: the thread ends with this goroutine
		_, _, failed := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0))
		if failed == 0 {
			do()
		}
		done <- failed
	}()
	if err := <-done; err != syscall.Errno(0) { //nolint:errorlint // it is one
		t.Fatal(err)
	}
}

// D04: a program of another user is not let in, even if somebody has opened the folder to it.
func TestD04_AnotherUserIsAStranger(t *testing.T) {
	dir := tempdir.Use(t)
	l := listen(t, "default")
	for _, path := range []string{dir, filepath.Dir(l.Path()), l.Path()} {
		must(t, os.Chmod(path, 0o777))
	}
	as(t, 1, func() {
		conn, err := net.Dial("unix", l.Path())
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = conn.Close() })
	})
	must(t, os.Chmod(filepath.Dir(l.Path()), 0o700))
	caller, err := l.Accept()
	if stranger, ok := errors.AsType[*control.Stranger](err); !ok || !strings.Contains(err.Error(), "belongs to the user 1") {
		t.Errorf("D04: %v, %v, %v", caller, stranger, err)
	}
}

// D04: nobody joins a listener of another user's, though its socket is where a host's would be.
func TestD04_NobodyJoinsAnotherUsersHost(t *testing.T) {
	dir := tempdir.Use(t)
	path, err := rundir.Socket("default")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Mkdir(filepath.Dir(path), 0o700))
	must(t, os.Chmod(filepath.Dir(path), 0o777)) // for an instant
	as(t, 1, func() {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = l.Close() })
	})
	must(t, os.Chmod(filepath.Dir(path), 0o700))
	if _, _, err := control.Join(t.Context(), "default", hello("guest")); err == nil || !strings.Contains(err.Error(), "belongs to the user 1") {
		t.Errorf("D04: %v", err)
	}
}
