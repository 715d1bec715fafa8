package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/control"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// D04: a program that has joined keeps no actor from having its name, a foreign one included.
func TestD04_AGuestClashesWithNobody(t *testing.T) {
	foreign := Spec{Name: "parser", GoPlugin: &config.GoPlugin{}}
	guest := &child{spec: Spec{Name: "parser"}, guest: &guest{}}
	for _, test := range []struct{ there, added *child }{{guest, &child{spec: foreign}}, {&child{spec: foreign}, guest}} {
		n := &Nursery{children: map[int]*child{1: test.there}}
		if err := n.clash(test.added); err != nil {
			t.Errorf("D04: %v", err)
		}
	}
	n := &Nursery{children: map[int]*child{1: {spec: foreign}}}
	if n.clash(&child{spec: foreign}) == nil {
		t.Error("two foreign programs have one name")
	}
}

// D04: whoever has connected when the nursery has ended is told at once, and has no place any more.
func TestD04_AClosedDoor(t *testing.T) {
	tempdir.Use(t)
	n := &Nursery{}
	n.tasks.Close()
	l, err := control.Listen("default")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := &door{n: n, ctx: t.Context()}
	told := make(chan error)
	go func() {
		_, _, err := control.Join(t.Context(), "default", &wire.BootResponse{Self: &wire.Identity{Name: "late"}})
		told <- err
	}()
	caller, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	d.admit(&entrance{}, caller)
	l.Close()
	if _, err := caller.Hear(t.Context()); err == nil {
		t.Error("D04: it is still heard")
	}
	if err := <-told; !errors.Is(err, ErrNoHost) {
		t.Errorf("D04: it was told %v", err)
	}
}

// D04: a socket that fails again and again, as for lack of descriptors, is told once.
func TestD04_AFailingSocketIsToldOnce(t *testing.T) {
	tempdir.Use(t)
	l, err := control.Listen("default")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		ctx, cancel := context.WithCancel(t.Context())
		n := &Nursery{env: &environment{log: slog.New(slog.NewTextHandler(&log, nil))}}
		d := &door{n: n, ctx: ctx}
		n.tasks.Go(func() { d.attend(&entrance{accept: l.Accept, close: l.Close}) })
		time.Sleep(time.Hour)
		cancel()
		n.tasks.Close()
		if told := strings.Count(log.String(), "programs cannot join"); told != 1 {
			t.Errorf("D04: it is told %d times", told)
		}
	})
}

// lateContext says when it ends, and does so later, or never.
type lateContext struct {
	context.Context
	deadline time.Time
}

func (l lateContext) Deadline() (time.Time, bool) { return l.deadline, true }

// C09: whoever joins under a deadline with a cause of its own is given that, also if body has noticed the end first.
func TestC09_JoinUnderADeadlineWithACauseOfItsOwn(t *testing.T) {
	for late, want := range map[time.Duration]error{-time.Millisecond: errCancelled, time.Millisecond: errCancelled, time.Hour: nil} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			outer := lateContext{ctx, time.Now().Add(time.Second)}
			defer time.AfterFunc(time.Second+late, func() { cancel(errCancelled) }).Stop()
			time.Sleep(time.Second)
			if err := expiry(outer); !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("C09: %v late: %v, want %v", late, err, want)
			}
		})
	}
}

// D04: whoever waits for a healthy actor waits until a check of its present process has passed, or the actor is gone.
func TestD04_WhoWaitsForHealth(t *testing.T) {
	member := directory.NewMemory("", nil).Join("a", nil)
	n := &Nursery{ctx: t.Context()}
	c := &child{n: n, member: member}
	over, cancel := context.WithCancelCause(t.Context())
	cancel(errCancelled)
	for _, test := range []struct {
		state childState
		off   bool
		err   error // with a ctx that is over
	}{
		{childState{state: directory.Starting}, false, errCancelled},
		{childState{state: directory.Starting}, true, errCancelled},
		{childState{state: directory.Ready}, false, errCancelled},
		{childState{state: directory.Ready}, true, nil},
		{childState{state: directory.Ready, healthy: true}, false, nil},
		{childState{state: directory.Unhealthy}, false, errCancelled},
		{childState{state: directory.Ready, healthy: true, decision: condemned}, false, errCancelled},
		{childState{state: directory.Gone}, true, directory.ErrNotFound},
	} {
		c.childState, c.spec.Health.Off = test.state, test.off
		if err := c.awaitHealth(over); !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
			t.Errorf("D04: %+v: %v, want %v", test, err, test.err)
		}
	}
	c.childState = childState{state: directory.Ready}
	told := make(chan error)
	go func() { told <- c.awaitHealth(t.Context()) }()
	n.update(func() { c.healthy = true })
	if err := <-told; err != nil {
		t.Error(err)
	}
}

// D04: what somebody orders is for the one actor that is meant, and nobody else.
func TestD04_WhoIsOrdered(t *testing.T) {
	r := directory.NewMemory("", nil)
	defer r.Finish()
	add := func(name string, joined bool, below ...string) {
		m := r.Join(name, nil)
		m.Publish(directory.Event{Actor: actor.NewID(name), Epoch: 1, To: directory.Ready, Joined: joined})
		for _, path := range below {
			if err := m.Pass(directory.Event{Path: path, Actor: actor.NewID(name), Epoch: 1, To: directory.Ready}); err != nil {
				t.Error(err)
			}
		}
	}
	add("parser", true)
	for range 2 {
		add("worker", false)
	}
	add("cli", true)
	add("cli", true, "vault", "helper")
	add("parser", false, "leaf", "leaf#2", "vault", "worker")
	add("single", false, "single", "twin")
	add("other", false, "twin")
	r.Join("worker", nil).Publish(directory.Event{Actor: actor.NewID("worker"), To: directory.Standby})
	for name, want := range map[string]string{
		"parser": "parser#2", "parser#2": "parser#2", "worker": "", "worker#1": "worker", "worker#2": "worker#2", "worker#3": "", "cli": "", "cli#1": "cli", "cli#2": "cli#2", "parser#1": "parser", "absent": "",
		"parser#2/leaf": "parser#2/leaf", "parser#2/leaf#1": "parser#2/leaf", "leaf": "", "parser/leaf": "", "helper": "cli#2/helper", "vault": "parser#2/vault",
		"single": "single", "single/single": "single/single", "twin": "", "other/twin": "other/twin", "": "", "helpr": "",
	} {
		entries, err := r.Entries(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		path, err := meant(entries, name)
		if (err != nil) != (want == "") || path != want {
			t.Errorf("D04: %s is %q, %v; want %q", name, path, err, want)
		}
		if text := map[string]string{"worker": ": parser#2/worker, worker#1, worker#2; say which", "cli": ": cli#1, cli#2; say which"}[name]; err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("D04: %s: %v; want %s", name, err, text)
		}
	}
}

// D04: replicas of an actor are told in the order of their numbers; spares and programs that have joined are none.
func TestD04_WhichReplicas(t *testing.T) {
	var entries []directory.Entry
	for _, path := range []string{"a/b", "a/b#10", "a/b#2", "a/b#3", "a/b#4", "b"} {
		e := directory.Entry{Path: path, State: directory.Ready}
		e.Last.Joined = path == "a/b#3"
		if path == "a/b#4" {
			e.State = directory.Standby
		}
		entries = append(entries, e)
	}
	for path, want := range map[string]string{"a/b": "[a/b a/b#2 a/b#10]", "b": "[b]", "c": "[c]"} {
		if got := fmt.Sprint(replicas(entries, path)); got != want {
			t.Errorf("D04: of %s: %s, want %s", path, got, want)
		}
	}
}

// D06: what is for somebody below an actor does not reach an actor that hosts nobody: it may not look at whom it is for.
func TestD06_ALeafGetsWhatIsForItself(t *testing.T) {
	r := directory.NewMemory("", nil)
	defer r.Finish()
	i := &incarnation{hosted: r.Join("leaf", nil)}
	start := &wire.Start{Target: &wire.Address{Path: "leaf/x"}, Opener: &wire.Address{Path: "other"}}
	if _, err := i.admit(start); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("D06: %v", err)
	}
	i.telling.Store(true)
	if last, err := i.admit(start); last || err != nil {
		t.Errorf("D05: %v", err)
	}
}
