package command

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// endlessInput is a terminal at which nobody types any more.
type endlessInput struct{ asked chan struct{} }

func (e endlessInput) Read([]byte) (int, error) {
	close(e.asked)
	select {}
}

// D04: a command that reads its arguments from standard input ends with its ctx, though that goes on.
func TestD04_StandardInputKeepsNoCommand(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	in, why := endlessInput{make(chan struct{})}, errors.New("enough")
	go func() {
		<-in.asked
		cancel(why)
	}()
	if _, err := withInput(ctx, []string{"a", "greet", "-"}, in); !errors.Is(err, why) {
		t.Errorf("D04: it has ended with %v", err)
	}
}

func TestArgumentsFromStandardInput(t *testing.T) {
	for _, test := range []struct {
		args []string
		in   io.Reader
		want string
		err  string
	}{
		{args: []string{"a", "greet"}, want: "a greet"},
		{args: []string{"-"}, want: "-"},
		{args: []string{"a", "greet", "{}"}, want: "a greet {}"},
		{args: []string{"a", "greet", "-"}, in: strings.NewReader("[1]"), want: "a greet [1]"},
		{args: []string{"a", "greet", "-"}, in: io.MultiReader(), want: "a greet "},
		{args: []string{"a", "greet", "-"}, in: bytes.NewReader(make([]byte, mostInput+1)), err: "more than"},
	} {
		args, err := withInput(t.Context(), test.args, test.in)
		if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) || test.err == "" && err != nil {
			t.Errorf("%v: %v, want %q", test.args, err, test.err)
		}
		if got := strings.Join(args, " "); got != test.want {
			t.Errorf("%v: %q, want %q", test.args, got, test.want)
		}
	}
}

// D04: a command holds no place in a tree while somebody types: it reads first, and joins then. Here nobody
// serves, which it does not find out before its time is over.
func TestD04_TheCommandReadsBeforeItJoins(t *testing.T) {
	for _, command := range []string{"call", "stream"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		stdin := os.Stdin
		os.Stdin = r
		if code := execute([]string{command, "a", "greet", "-", "--timeout", "1ns"}, io.Discard, io.Discard); code != exitLate {
			t.Errorf("D04: %s exits with %d, want %d", command, code, exitLate)
		}
		os.Stdin = stdin
		if err := errors.Join(w.Close(), r.Close()); err != nil {
			t.Error(err)
		}
	}
}

// leaving is a registry in which an actor is gone just before somebody follows it, and whose loops may fail.
type leaving struct {
	*directory.Memory
	before func()
	err    error
}

func (l *leaving) Watch(ctx context.Context, name string) iter.Seq2[directory.Event, error] {
	if l.err != nil {
		return func(yield func(directory.Event, error) bool) { yield(directory.Event{}, l.err) }
	}
	l.before()
	return l.Memory.Watch(ctx, name)
}

// D04: host wait --for gone misses no end, fails with what its loop does, and does not wait for commands.
func TestD04_WaitForGone(t *testing.T) {
	r := directory.NewMemory("", nil)
	a, id := r.Join("a", nil), actor.NewID("a")
	a.Publish(directory.Event{Actor: id, Epoch: 1, To: directory.Ready})
	r.Join(caller, nil).Publish(directory.Event{Actor: actor.NewID(caller), Epoch: 1, To: directory.Ready, Joined: true})
	l := &leaving{Memory: r, err: fault.ErrOverloaded}
	ctx := directory.With(t.Context(), l)
	if err := awaitGone(ctx, "a"); !errors.Is(err, fault.ErrOverloaded) {
		t.Errorf("D04: its loop has failed, and it gives %v", err)
	}
	l.err, l.before = nil, func() {}
	if err := awaitGone(ctx, caller); err != nil {
		t.Errorf("D04: it has waited for itself: %v", err)
	}
	l.before = func() { a.Publish(directory.Event{Actor: id, Epoch: 1, To: directory.Gone}) }
	if err := awaitGone(ctx, "a"); err != nil {
		t.Errorf("D04: the actor is gone, and it gives %v", err)
	}
}

// D04: --timeout ends a command whose output nobody reads, and a second signal one whose callee does not end.
func TestD04_NobodyKeepsACommand(t *testing.T) {
	s, pipe := idleSignals(), newFullPipe()
	defer s.stop()
	defer close(pipe.drained)
	p := &program{signals: s, stdout: s.guard(pipe)}
	here := func(_ *site, ctx context.Context, do func(context.Context) error) error { return do(ctx) }
	run := func(do func(ctx context.Context) error, args ...string) error {
		cmd := p.joiningBy(here, &cobra.Command{}, func(ctx context.Context, _ []string) error { return do(ctx) })
		cmd.SetArgs(args)
		return cmd.ExecuteContext(s.ctx)
	}
	err := run(func(context.Context) error { return p.line([]byte("1")) }, "--timeout", "1ms")
	if _, late := errors.AsType[*lateError](err); !late {
		t.Errorf("D04: nobody reads, and it has ended with %v", err)
	}
	s = idleSignals()
	defer s.stop()
	p.signals = s
	forever := make(chan struct{})
	defer close(forever)
	err = run(func(context.Context) error {
		s.ch <- os.Interrupt
		s.ch <- os.Interrupt
		<-forever
		return nil
	})
	if _, ok := errors.AsType[*signalled](err); !ok {
		t.Errorf("D04: its callee does not end, and it has ended with %v", err)
	}
}
