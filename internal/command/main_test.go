package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func TestJudge(t *testing.T) {
	problems := &config.Error{Problems: []config.Problem{
		{Place: config.Place{File: "c.yaml", Line: 1, Column: 2}, Path: "a", Message: "bad"}, {Place: config.Place{File: "--set b"}, Message: "bad"},
	}}
	for _, test := range []struct {
		err  error
		code int
		text string
	}{
		{errors.New("broken"), 1, "host: broken"},
		{&host.StartError{Actor: "a", Stage: "boot", Err: errors.New("broken")}, 1, `host: actor "a" did not start, at its boot: broken`},
		{&usageError{errors.New("nonsense")}, 2, "host: nonsense"},
		{&fault.RemoteError{Type: "*errors.errorString", Message: "out of paper"}, 1, "host: out of paper"},
		{&fault.RemoteError{Type: "*main.Rude", Message: "no"}, 1, "host: *main.Rude: no"},
		{problems, 2, "c.yaml:1:2: a: bad\n--set b: bad"},
		{fmt.Errorf("tree: %w", problems), 2, "tree: c.yaml:1:2: a: bad\n--set b: bad"},
		{&signalled{os.Interrupt}, 130, ""},
		{fmt.Errorf("ended: %w", &signalled{syscall.SIGTERM}), 143, ""},
	} {
		if code, text := judge(test.err); code != test.code || text != test.text {
			t.Errorf("%v: got %d %q, want %d %q", test.err, code, text, test.code, test.text)
		}
	}
}

type strangeSignal struct{}

func (strangeSignal) String() string { return "strange" }

func (strangeSignal) Signal() {}

func TestSignalWithoutNumber(t *testing.T) {
	if code := (&signalled{strangeSignal{}}).exitCode(); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
}

// O03: what a program leaves as its user wants it to end, or nobody reads what it prints, has not failed.
func TestO03_ASignalIsACancel(t *testing.T) {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGPIPE} {
		if f := fault.Pack(&signalled{s}, actor.NewID("cli")); !fault.IsCancelled(f) {
			t.Errorf("O03: %v is not a cancel", &signalled{s})
		}
	}
}

func TestASignalIsWhatEndedARun(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	failure := errors.New("failure")
	if err := explain(ctx, failure); !errors.Is(err, failure) {
		t.Errorf("without a signal: %v", err)
	}
	cancel(&signalled{os.Interrupt})
	if _, ok := errors.AsType[*signalled](explain(ctx, failure)); !ok {
		t.Error("the signal is hidden by what failed after it")
	}
	if err := explain(ctx, nil); err != nil {
		t.Errorf("a run that ended well became %v", err)
	}
}

func TestCountProcesses(t *testing.T) {
	leaf := config.Actor{Name: "leaf"}
	for _, test := range []struct {
		actors []config.Actor
		want   int
	}{
		{nil, 0},
		{[]config.Actor{leaf}, 1},
		{[]config.Actor{{Replicas: 1}, {Replicas: 3}}, 4},
		{[]config.Actor{{Actors: []config.Actor{leaf, leaf}}}, 3},
		{[]config.Actor{{Replicas: 2, Actors: []config.Actor{{Replicas: 3, Actors: []config.Actor{leaf}}}}}, 14},
	} {
		if got := countProcesses(test.actors); got != test.want {
			t.Errorf("%+v are %d processes, want %d", test.actors, got, test.want)
		}
	}
}
