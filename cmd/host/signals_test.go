package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// idleSignals are signals that only a test sends.
func idleSignals() *signals {
	s := &signals{hurry: make(chan struct{}), ch: make(chan os.Signal)}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.worker = task.Start(s.watch)
	return s
}

// N20: each signal that ends a session ends the run; a second one hurries, but SIGHUP.
func TestN20_SignalsEndARun(t *testing.T) {
	for first, code := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		s := idleSignals()
		s.ch <- first
		s.ch <- syscall.SIGHUP
		if got, _ := judge(context.Cause(s.ctx)); got != code {
			t.Errorf("%v: exit code %d, want %d", first, got, code)
		}
		select {
		case <-s.hurry:
			t.Errorf("%v and a SIGHUP hurry", first)
		default:
		}
		s.ch <- syscall.SIGTERM
		<-s.hurry
		s.stop()
	}
}

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) {
	return 0, fmt.Errorf("write |1: %w", syscall.EPIPE)
}

// N20, X11: output that nobody reads any more ends the run in order.
func TestN20_AClosedOutputEndsARun(t *testing.T) {
	s := idleSignals()
	defer s.stop()
	var out bytes.Buffer
	if _, err := s.guard(&out).Write([]byte("text")); err != nil || out.String() != "text" || s.ctx.Err() != nil {
		t.Errorf("wrote %q, %v, %v", out.String(), err, s.ctx.Err())
	}
	if _, err := s.guard(closedPipe{}).Write([]byte("text")); !errors.Is(err, syscall.EPIPE) {
		t.Error(err)
	}
	if code, text := judge(explain(s.ctx, errors.New("a failure that followed"))); code != 141 || text != "" {
		t.Errorf("exit code %d, %q", code, text)
	}
}
