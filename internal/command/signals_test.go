package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

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

// fullPipe is an output that takes nothing before it is drained.
type fullPipe struct{ entered, drained chan struct{} }

func newFullPipe() fullPipe { return fullPipe{make(chan struct{}, 1), make(chan struct{})} }

func (f fullPipe) Write(b []byte) (int, error) {
	f.entered <- struct{}{}
	<-f.drained
	return len(b), nil
}

// N20: an output that nobody reads keeps nobody whose session is over: a write in it gets a second, or no more
// time after a second signal, and is the last one.
func TestN20_AFullOutputKeepsNobody(t *testing.T) {
	for _, hurried := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, pipe := idleSignals(), newFullPipe()
			w := s.guard(pipe)
			ended := make(chan error)
			go func() {
				_, err := w.Write([]byte("text"))
				ended <- err
			}()
			<-pipe.entered
			synctest.Wait()
			begun, want := time.Now(), lastWords
			s.ch <- os.Interrupt
			if hurried {
				s.ch <- os.Interrupt
				want = 0
			}
			if _, ok := errors.AsType[*signalled](<-ended); !ok || time.Since(begun) != want {
				t.Errorf("it has ended after %v, want %v", time.Since(begun), want)
			}
			if _, err := w.Write([]byte("more")); err == nil || len(pipe.entered) > 0 {
				t.Errorf("more is written: %v", err)
			}
			close(pipe.drained)
			s.stop()
		})
	}
}

// N20: what is written when the session is over still comes out where somebody reads.
func TestN20_LastWordsAreWritten(t *testing.T) {
	s := idleSignals()
	defer s.stop()
	s.cancel(&signalled{os.Interrupt})
	var out bytes.Buffer
	if n, err := s.guard(&out).Write([]byte("text")); n != 4 || err != nil || out.String() != "text" {
		t.Errorf("wrote %q, %d, %v", out.String(), n, err)
	}
}
