package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed-2ba35074/trellis/internal/process"
)

// StartError says at which stage the start of an actor failed, and why. Nothing
// of the actor is left.
type StartError struct {
	Actor string
	Stage string // "spec", "program", "handshake", "connection" (foreign programs), "link" or "boot"
	// Lasting is whether another start would fail in the same way, since the program or
	// its description is at fault. Such an actor is not restarted.
	Lasting bool
	Err     error
}

func (e *StartError) Error() string {
	return fmt.Sprintf("actor %q did not start, at its %s: %v", e.Actor, e.Stage, e.Err)
}

// Unwrap gives the reason.
func (e *StartError) Unwrap() error { return e.Err }

var errStartTimeout = errors.New("it was not ready in time")

// start brings the child up: process, handshake, link, boot. If ctx ends, at any
// stage, the process is killed and reaped, and the error is the cause of ctx.
func (i *incarnation) start(ctx context.Context) error {
	bound := orDefault(time.Duration(i.spec.StartTimeout), DefaultStartTimeout)
	limited, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("%w (%v)", errStartTimeout, bound))
	defer cancel()
	stage, err := i.bringUp(limited, bound)
	if err == nil && i.unfollow() {
		return nil
	}
	i.abandon()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if limited.Err() != nil {
		err = fmt.Errorf("%w%s", context.Cause(limited), i.waitsFor)
	}
	failure := &StartError{Actor: i.spec.Name, Stage: stage, Err: err}
	if own, ok := errors.AsType[*lastingError](err); ok {
		failure.Lasting, failure.Err = true, own.error
	}
	return failure
}

func (i *incarnation) bringUp(ctx context.Context, bound time.Duration) (stage string, err error) {
	if i.program, err = findProgram(ctx, i.spec); err == nil {
		err = i.handshake(ctx, bound)
	}
	_, unstarted := errors.AsType[*process.StartError](err)
	switch {
	case err != nil && cannotExecute(err):
		return "program", &lastingError{err}
	case unstarted || i.program == "":
		return "program", err
	case err != nil:
		return "handshake", err
	}
	i.id.PID = i.proc.Load().PID()
	i.owner.identified(i.id)
	if i.foreign() {
		return i.awaitForeign(ctx)
	}
	broker, err := i.listen()
	if err != nil {
		return "link", i.explainBroker(ctx, err)
	}
	if err := i.boot(ctx, broker); err != nil {
		return "boot", err
	}
	return "", nil
}

// abandon ends a child that did not come up.
func (i *incarnation) abandon() {
	if proc := i.proc.Load(); proc != nil {
		_ = proc.Kill(context.Background()) // waits for the reaping; that ctx never ends
	}
	if i.plugin != nil {
		i.release()
	}
}

// findProgram finds the file to execute; it is "" with an error.
func findProgram(ctx context.Context, spec Spec) (string, error) {
	path := spec.Command[0]
	if !strings.ContainsRune(path, os.PathSeparator) {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("program %q: %w; give a path with a slash, or put it into a directory of PATH", path, err)
		}
		path = found
	}
	if err := rebuild(ctx, spec); err != nil {
		return "", err
	}
	return path, nil
}

// lasting is a failure of a start that another start would repeat.
type lastingError struct{ error }

// cannotExecute reports whether a program cannot be executed, and not only at the moment.
func cannotExecute(err error) bool {
	if errors.Is(err, exec.ErrNotFound) {
		return true
	}
	start, ok := errors.AsType[*process.StartError](err)
	if !ok {
		return false
	}
	_, wrongSum := errors.AsType[*process.ChecksumError](start.Err)
	return wrongSum || slices.ContainsFunc([]error{fs.ErrNotExist, fs.ErrPermission, syscall.ENOEXEC, syscall.EISDIR, syscall.ENOTDIR},
		func(target error) bool { return errors.Is(start.Err, target) })
}
