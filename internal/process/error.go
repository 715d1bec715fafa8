package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"

	"github.com/seed-2ba35074/trellis/internal/terminal"
)

// StartError says why a process could not be started. Err is an errno, a
// *ChecksumError, a *LimitError, ErrKilled or the cause of a cancelled context.
type StartError struct {
	Path string
	Err  error
	// Hint says what was expected and what to do; "" if Err says it.
	Hint string
}

// Error is one line.
func (e *StartError) Error() string {
	if e.Hint == "" {
		return fmt.Sprintf("cannot start %s: %v", terminal.Line(e.Path), e.Err)
	}
	return fmt.Sprintf("cannot start %s: %v: %s", terminal.Line(e.Path), e.Err, e.Hint)
}

// Unwrap returns Err.
func (e *StartError) Unwrap() error { return e.Err }

// explain turns a failure to start into a *StartError with a hint. A LimitError names the key of
// the config, and needs none.
func (s *Spec) explain(err error) error {
	if limit, ok := errors.AsType[*LimitError](err); ok {
		return &StartError{Path: s.Path, Err: limit}
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err // its path may be a /proc name; ours is better
	}
	return &StartError{Path: s.Path, Err: err, Hint: s.hint(err)}
}

// hints are what to do about errors of the operating system that have one cause. ETXTBSY can also
// come of a fork: between it and its exec, a process that somebody else in the machine starts holds
// every file that its parent has open for writing.
var hints = []struct {
	err  error
	text string
}{
	{syscall.EMFILE, "this host has no file descriptor left; raise its limit (ulimit -n) or run fewer actors"},
	{syscall.ENFILE, "the system has no file descriptor left; raise fs.file-max or find the program that holds most of them"},
	{syscall.ENOMEM, "no memory for another process; run fewer actors or give the host more"},
	{syscall.EAGAIN, "no further process allowed; raise the limit (ulimit -u, pids.max of the cgroup) or run fewer actors"},
	{syscall.ETXTBSY, "somebody is writing the file; wait until it is built, or install it by rename"},
	{syscall.E2BIG, "arguments and environment are too large together; pass large values in a file"},
	{syscall.ENOEXEC, "expected a program for " + runtime.GOOS + "/" + runtime.GOARCH + " or a script that starts with #!; build it for this machine"},
	{syscall.EINVAL, "the system cannot carry the start out as it is described; look at its limits, its working directory and its program"},
	{errNotRegular, "expected a program file; name the file itself"},
}

// hint is advice about an error of the operating system; "" if there is none.
func (s *Spec) hint(err error) string {
	for _, h := range hints {
		if errors.Is(err, h.err) {
			return h.text
		}
	}
	for _, target := range []error{fs.ErrNotExist, fs.ErrPermission, syscall.EISDIR, syscall.ENOTDIR} {
		if errors.Is(err, target) {
			return s.fileHint(err)
		}
	}
	return ""
}

// fileHint looks at the file, since one errno has several causes. ENOENT is what exec says of a
// missing program, and of a missing interpreter or dynamic loader; and what chdir says, which the
// new process calls before exec, of a missing working directory. By the time of the look the file
// may be another one than the one that failed: this is advice, and no more.
func (s *Spec) fileHint(err error) string {
	info, statErr := os.Stat(s.Path)
	if dir := s.Dir; dir != "" {
		if d, err := os.Stat(dir); err != nil || !d.IsDir() {
			return fmt.Sprintf("expected its working directory %s to be a directory; create it or correct dir", dir)
		}
	}
	switch {
	case statErr != nil && !errors.Is(err, fs.ErrPermission):
		return "expected a program file there; build it or correct the command"
	case errors.Is(err, fs.ErrNotExist):
		return "the file is there but the interpreter or loader that it names is not; install that or build the program statically"
	case statErr == nil && info.IsDir():
		return "it is a directory; expected a program file: name the file itself"
	case errors.Is(err, fs.ErrPermission) && statErr == nil && info.Mode()&0o111 == 0:
		return fmt.Sprintf("its mode is %v; expected an executable file: chmod +x it", info.Mode())
	case errors.Is(err, fs.ErrPermission):
		return "expected a file that this user may execute; look at its mode, the directories above it and a noexec mount"
	}
	return ""
}
