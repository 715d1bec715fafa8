package host

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/control"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/wire"
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
	d := &door{n: n, listener: l, ctx: t.Context()}
	told := make(chan error)
	go func() {
		_, _, err := control.Join(t.Context(), "default", &wire.BootResponse{Self: &wire.Identity{Name: "late"}})
		told <- err
	}()
	caller, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	d.admit(caller)
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
		d := &door{n: n, listener: l, ctx: ctx}
		n.tasks.Go(d.attend)
		time.Sleep(time.Hour)
		cancel()
		n.tasks.Close()
		if told := strings.Count(log.String(), "programs cannot join"); told != 1 {
			t.Errorf("D04: it is told %d times", told)
		}
	})
}

// D04: what somebody orders is for the one actor that is meant, and nobody else.
func TestD04_WhoIsOrdered(t *testing.T) {
	env, end := registered()
	defer end()
	n := &Nursery{env: env, children: map[int]*child{}}
	add := func(name string, joined bool) {
		c := &child{spec: Spec{Name: name}, member: env.registry.Join(name, nil)}
		if joined {
			c.guest = &guest{}
		}
		n.children[len(n.children)+1] = c
	}
	add("parser", true)
	for range 2 {
		add("worker", false)
	}
	add("cli", true)
	add("cli", true)
	add("parser", false)
	for name, want := range map[string]string{
		"parser": "parser#2", "parser#2": "parser#2", "worker": "", "worker#1": "worker", "worker#2": "worker#2", "cli": "cli", "cli#2": "cli#2", "absent": "",
	} {
		c, err := n.named(t.Context(), name)
		if (err != nil) != (want == "") || err == nil && c.member.Path() != want {
			t.Errorf("D04: %s is %+v, %v; want %q", name, c, err, want)
		}
	}
}

// registered is an environment with a registry only.
func registered() (*environment, func()) {
	r := directory.NewMemory("", nil)
	return &environment{registry: r}, r.Finish
}
