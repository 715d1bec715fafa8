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

// explain turns a failure to start into a *StartError with a hint.
func (s *Spec) explain(err error) error {
	if limit, ok := errors.AsType[*LimitError](err); ok {
		return &StartError{Path: s.Path, Err: limit}
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err // its path may be a /proc name; ours is better
	}
	return &StartError{Path: s.Path, Err: err, Hint: s.hint(err)}
}

// hint is advice about an error of the operating system.
func (s *Spec) hint(err error) string {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return "this host has no file descriptor left; raise its limit (ulimit -n) or run fewer actors"
	case errors.Is(err, syscall.ENFILE):
		return "the system has no file descriptor left; raise fs.file-max or find the program that holds most of them"
	case errors.Is(err, syscall.ENOMEM):
		return "no memory for another process; run fewer actors or give the host more"
	case errors.Is(err, syscall.EAGAIN):
		return "no further process allowed; raise the limit (ulimit -u, pids.max of the cgroup) or run fewer actors"
	case errors.Is(err, syscall.ETXTBSY):
		return "somebody is writing the file; wait until it is built, or install it by rename"
	case errors.Is(err, syscall.E2BIG):
		return "arguments and environment are too large together; pass large values in a file"
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Sprintf("expected a program for %s/%s or a script that starts with #!; build it for this machine", runtime.GOOS, runtime.GOARCH)
	case errors.Is(err, syscall.EINVAL):
		return "the system cannot carry the start out as it is described; look at its limits, its working directory and its program"
	case errors.Is(err, errNotRegular):
		return "expected a program file; name the file itself"
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.ENOTDIR) {
		return s.fileHint(err)
	}
	return ""
}

// fileHint looks at the file, since one errno has several causes.
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
