package main

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// signals turns SIGINT and SIGTERM into the end of a ctx, and a second one into
// hurry. It owns one goroutine until stop.
type signals struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	hurry  chan struct{}
	ch     chan os.Signal
	worker *task.Worker
}

// signalled is the cause of a ctx that a signal has ended.
type signalled struct{ signal os.Signal }

func (s *signalled) Error() string { return "it received " + s.signal.String() }

// exitCode is 128 and the signal's number, as shells have it.
func (s *signalled) exitCode() int {
	if number, ok := s.signal.(syscall.Signal); ok {
		return 128 + int(number)
	}
	return exitFailed
}

func watchSignals() *signals {
	s := &signals{hurry: make(chan struct{}), ch: make(chan os.Signal, 2)}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	signal.Notify(s.ch, os.Interrupt, syscall.SIGTERM)
	s.worker = task.Start(s.watch)
	return s
}

func (s *signals) watch() {
	first, ok := <-s.ch
	if !ok {
		return
	}
	s.cancel(&signalled{first})
	if _, ok = <-s.ch; ok {
		close(s.hurry)
	}
}

func (s *signals) stop() {
	signal.Stop(s.ch)
	close(s.ch)
	s.worker.Wait()
	s.cancel(nil)
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
