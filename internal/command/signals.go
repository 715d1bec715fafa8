package command

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// signals turns what ends a user's session into the end of a ctx: a signal that ends
// programs (process.EndSignals), a standard output or error that nobody reads any
// more, or the --timeout of a command that joins. A second signal becomes hurry, except for SIGHUP, which the kernel and a shell
// may both send. It owns one goroutine until stop.
type signals struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	hurry  chan struct{}
	ch     chan os.Signal
	pipe   chan os.Signal // nobody receives
	worker *task.Worker
}

// signalled is the cause of a ctx that a signal has ended.
type signalled struct{ signal os.Signal }

func (s *signalled) Error() string {
	if s.signal == syscall.SIGPIPE {
		return "nobody reads its output any more"
	}
	return "it received " + s.signal.String()
}

// Unwrap makes it a cancel, also in traces and to whom this program has called.
func (s *signalled) Unwrap() error { return context.Canceled }

// exitCode is 128 and the signal's number, as shells have it.
func (s *signalled) exitCode() int {
	if number, ok := s.signal.(syscall.Signal); ok {
		return 128 + int(number)
	}
	return exitFailed
}

func watchSignals() *signals {
	s := &signals{hurry: make(chan struct{}), ch: make(chan os.Signal, 2), pipe: make(chan os.Signal, 1)}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	signal.Notify(s.ch, process.EndSignals()...)
	signal.Notify(s.pipe, syscall.SIGPIPE) // so that a write fails, instead of ending the program
	s.worker = task.Start(s.watch)
	return s
}

func (s *signals) watch() {
	asked := false
	for sig := range s.ch {
		if asked && sig != syscall.SIGHUP {
			close(s.hurry)
			return
		}
		asked = true
		s.cancel(&signalled{sig})
	}
}

func (s *signals) stop() {
	signal.Stop(s.ch)
	close(s.ch)
	s.worker.Wait()
	s.cancel(nil)
}

// lastWords is how long a write may take when the session is over.
const lastWords = time.Second

// guard makes a write that nobody can read any more end the run, in order, as the signal would that ends
// other programs. And no reader keeps the command: when the session is over, a write that
// nobody takes is left behind, at once if there was a second signal.
func (s *signals) guard(w io.Writer) io.Writer { return &guarded{w: w, signals: s} }

// guarded is what guard returns. Each write has a goroutine, as nobody can end one that waits for its reader; one at
// most is ever left behind. mu is held during a write.
type guarded struct {
	w       io.Writer
	signals *signals

	mu   sync.Mutex
	left bool // a write was left behind, and so nothing more is written
}

// Write writes, and ends the run if the reader is gone.
func (g *guarded) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left {
		return 0, context.Cause(g.signals.ctx)
	}
	var n int
	var err error
	text := bytes.Clone(b) // a write that is left behind still has it
	writing := task.Start(func() { n, err = g.w.Write(text) })
	if g.left = !g.signals.await(writing.Done()); g.left {
		return 0, context.Cause(g.signals.ctx)
	}
	if errors.Is(err, syscall.EPIPE) {
		g.signals.cancel(&signalled{syscall.SIGPIPE})
	}
	return n, err
}

// await waits until a write is done, and reports false if that is not worth waiting for any more.
func (s *signals) await(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-s.ctx.Done():
	}
	select {
	case <-done:
		return true
	case <-s.hurry:
	case <-time.After(lastWords):
	}
	return false
}

// lookup finds a config's variable: in the environment, and GOROOT with the go
// command's help.
func lookup(ctx context.Context, name string) (string, bool) {
	if value, ok := os.LookupEnv(name); ok || name != "GOROOT" {
		return value, ok
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	value := strings.TrimSpace(string(out))
	return value, err == nil && value != ""
}
