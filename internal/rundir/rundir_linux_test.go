package rundir

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
)

// roles are what the test binary does as another program. What follows a colon is the
// role's argument.
var roles = map[string]func(arg string){
	"hold": func(string) { // makes a runtime directory with something in it, and lives on
		dir := opened()
		must(os.WriteFile(filepath.Join(dir, "socket"), nil, 0o600))
		fmt.Println(dir) // the test waits for this line: all is there by then
		<-time.After(time.Hour)
	},
	"chdir":    func(dir string) { must(os.Chdir(dir)); fmt.Println(opened()) },
	"fulldisk": fullDisk,
}

func TestMain(m *testing.M) {
	if role := os.Getenv("RUNDIR_TEST_ROLE"); role != "" {
		verb, arg, _ := strings.Cut(role, ":")
		roles[verb](arg)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func opened() string {
	dir, err := Open()
	must(err)
	return dir
}

// program is this binary in a role, below the test's TMPDIR.
func program(role string) *exec.Cmd {
	self, err := os.Executable()
	must(err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "RUNDIR_TEST_ROLE="+role)
	return cmd
}

// owner runs a program that makes a runtime directory and lives on.
func owner(t *testing.T) (cmd *exec.Cmd, dir string) {
	t.Helper()
	cmd = program("hold")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(line)
}

func TestN07_RuntimeDirSweptAfterAKilledOwner(t *testing.T) {
	tempdir.Use(t)
	dead, deadDir := owner(t)
	_, liveDir := owner(t)
	if !exists(filepath.Join(deadDir, "socket")) {
		t.Fatalf("%q has nothing in it", deadDir)
	}
	_ = dead.Process.Kill()
	_ = dead.Wait()
	dir, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	if exists(deadDir) || !exists(filepath.Join(liveDir, "socket")) || !exists(dir) {
		t.Errorf("dead %v, live %v, own %v", exists(deadDir), exists(liveDir), exists(dir))
	}
	if again, err := Open(); again != dir || err != nil {
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
	if err := Close(); err != nil || exists(dir) || !exists(liveDir) {
		t.Error(err, exists(dir), exists(liveDir))
	}
	if err := Close(); err != nil {
		t.Error(err)
	}
}

// The last program that ends leaves nothing in TMPDIR.
func TestTheLastOneRemovesTheCommonFolder(t *testing.T) {
	temp := tempdir.Use(t)
	if _, err := Open(); err != nil {
		t.Fatal(err)
	}
	if err := Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestN07_RuntimeDirPathTooLong(t *testing.T) {
	long := filepath.Join(tempdir.Use(t), strings.Repeat("x", 60))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", long)
	if _, err := Open(); err == nil || !strings.Contains(err.Error(), "set TMPDIR to a shorter") {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(long); len(entries) != 0 {
		t.Error(entries)
	}
}

// What is refused as the common folder is somebody else's, and stays as it is.
func TestN07_RuntimeDirOpenToOthersIsRefused(t *testing.T) {
	for name, put := range map[string]func(base string) error{
		"open to others": func(base string) error { return errors.Join(os.Mkdir(base, 0o700), os.Chmod(base, 0o755)) },
		"a file":         func(base string) error { return os.WriteFile(base, nil, 0o600) },
		"a link":         func(base string) error { return errors.Join(os.Mkdir(base+"x", 0o700), os.Symlink(base+"x", base)) },
		"a link to none": func(base string) error { return os.Symlink(base+"x", base) },
	} {
		t.Run(name, func(t *testing.T) {
			base := filepath.Join(tempdir.Use(t), fmt.Sprintf("trellis-%d", os.Getuid()))
			if err := put(base); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(base)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Open(); err == nil || !strings.Contains(err.Error(), "0700") {
				t.Error(err)
			}
			if after, err := os.Lstat(base); err != nil || !os.SameFile(before, after) || after.Mode() != before.Mode() {
				t.Errorf("what was refused is %v now, %v", after, err)
			}
		})
	}
}

// What took the place of the common folder while a program ran outlives it.
func TestN07_CloseLeavesWhatIsNotTheCommonFolder(t *testing.T) {
	tempdir.Use(t)
	dir, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Dir(dir)
	if err := errors.Join(os.RemoveAll(base), os.WriteFile(base, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := Close(); err != nil || !exists(base) {
		t.Errorf("closed with %v; the file is still there: %v", err, exists(base))
	}
}

// Owners come while others sweep, and remove the common folder if it is empty: nobody
// loses a directory that is held.
func TestN07_RuntimeDirClaimsAndSweepsTogether(t *testing.T) {
	base := filepath.Join(tempdir.Use(t), "trellis")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
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
				_ = os.Remove(base) // as Close does; fails while anybody has a directory
			}
		})
	}
	all.Wait()
}

// Removing what holds files takes a descriptor. Without one it is done later.
func TestF05_WhatCannotBeRemovedIsRemovedLater(t *testing.T) {
	tempdir.Use(t)
	dir, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer Close()
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
	Discard(scratch)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if !exists(scratch) {
		t.Fatal("it was removed without a descriptor; this test proves nothing")
	}
	if again, err := Open(); err != nil || again != dir || exists(scratch) {
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
			base := tempdir.Use(t)
			first, err := Open()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := Close(); err != nil {
					t.Error(err)
				}
			})
			if again, err := Open(); err != nil || again != first {
				t.Errorf("untouched: %s and then %s, %v", first, again, err)
			}
			home, _ := Cgroup()
			if err := spoil(first); err != nil {
				t.Fatal(err)
			}
			second, err := Open()
			if err != nil || second == first || !strings.HasPrefix(second, base) {
				t.Fatalf("%s and then %s, %v", first, second, err)
			}
			if _, err := lockDir(second, 0); !errors.Is(err, errLocked) {
				t.Errorf("its lock: %v", err)
			}
			if note, err := os.Readlink(filepath.Join(second, noteName)); home != "" && note != home {
				t.Errorf("its cgroup is %s, the note says %q, %v", home, note, err)
			}
			if err := Close(); err != nil {
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
	tempdir.Use(t)
	dir, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	home, _ := Cgroup()
	if err := errors.Join(os.RemoveAll(dir), Close()); err != nil {
		t.Error(err)
	}
	if home != "" && exists(home) {
		t.Errorf("%s is left", home)
	}
}

// F08: the cgroup of this program's children is made anew as well.
func TestF08_CgroupIsMadeAnew(t *testing.T) {
	tempdir.Use(t)
	t.Cleanup(func() { _ = Close() })
	home, err := Cgroup()
	if err != nil {
		return // there are none here
	}
	if err := os.Remove(home); err != nil {
		t.Fatal(err)
	}
	if again, err := Cgroup(); err != nil || !exists(again) {
		t.Errorf("%s, %v", again, err)
	}
}

// B02: a relative TMPDIR is meant where the program was started.
func TestN20_RelativeTmpdir(t *testing.T) {
	temp := tempdir.Use(t)
	cmd := program("chdir:/")
	cmd.Dir, cmd.Env = temp, append(cmd.Env, "TMPDIR=.")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), temp+"/trellis-") {
		t.Errorf("%s, %v", out, err)
	}
}

// X15: a directory whose note of a cgroup is damaged is reported, once.
func TestF08_DamagedNoteIsSweptInTheEnd(t *testing.T) {
	tempdir.Use(t)
	cmd, left := owner(t)
	if err := errors.Join(os.RemoveAll(filepath.Join(left, noteName)), os.WriteFile(filepath.Join(left, noteName), []byte("\x00damaged"), 0o600)); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	var told strings.Builder
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&told, nil)))
	t.Cleanup(func() { slog.SetDefault(old) })
	for range 2 {
		if _, err := Open(); err != nil {
			t.Error(err)
		}
		if err := Close(); err != nil {
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

// A runtime directory that cannot be made is a clear error, and leaves nothing. On
// a file system that has room for nothing, for one more file, for two, ….
func TestF05_FullDisk(t *testing.T) {
	tempdir.Use(t)
	sys := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		sys = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
	}
	cmd := program("fulldisk")
	cmd.SysProcAttr = sys
	text, err := cmd.CombinedOutput()
	out := string(text)
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
		_, err := Open()
		if err == nil {
			must(Close())
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

// A TMPDIR that is not there is that, and not a race with somebody who removes things.
func TestF05_NowhereToWrite(t *testing.T) {
	for dir, errno := range map[string]error{"/proc": syscall.ENOENT, "/dev/null": syscall.ENOTDIR, "/none": syscall.ENOENT} {
		t.Setenv("TMPDIR", dir)
		base := filepath.Join(dir, fmt.Sprintf("trellis-%d", os.Getuid()))
		want := "runtime directory: mkdir " + base + ": " + errno.Error() + "; TMPDIR must name a directory that can be written"
		if _, err := Open(); !errors.Is(err, errno) || err.Error() != want {
			t.Errorf("%s: %v, want %s", dir, err, want)
		}
	}
}

func TestN07_ForgedNoteIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/sys/fs/cgroup/system.slice", filepath.Join(dir, noteName)); err != nil {
		t.Fatal(err)
	}
	if err := clearHome(dir); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Error(err)
	}
}

// D04: whoever just looks whether a host serves is not taken for one that does, however long the machine lets it look.
func TestD04_ALookIsNoOccupant(t *testing.T) {
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "socket")
	looking, err := lockFile(path+lockSuffix, os.O_CREATE, true) // as Occupied has it for a moment
	if err != nil {
		t.Fatal(err)
	}
	if Occupied(path) {
		t.Error("D04: one that looks is an occupant to another one")
	}
	if _, err := occupyOnce(path, folder); !errors.Is(err, errLooked) {
		t.Errorf("D04: while somebody looks: %v", err)
	}
	if err := looking.Close(); err != nil {
		t.Fatal(err)
	}
	lock, err := occupyOnce(path, folder)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := occupyOnce(path, folder); !errors.Is(err, errLocked) || !Occupied(path) {
		t.Errorf("D04: while somebody has it: %v", err)
	}
	vacate(path, lock, false)
}
