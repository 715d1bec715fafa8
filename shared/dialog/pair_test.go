package dialog_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/dialog"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/link"
	"github.com/seed-2ba35074/trellis/shared/wire"
)

// pair is two actors with a link between them, inside this process.
type pair struct{ parent, child *dialog.Table }

// tasks is what an actor of a pair serves.
type tasks map[string]dialog.Task

func (ts tasks) accept(s *wire.Start) (dialog.Task, error) {
	if run, ok := ts[s.Endpoint]; ok {
		return run, nil
	}
	return nil, &fault.NotExposed{Endpoint: s.Endpoint}
}

// newPair links two actors; the link ends, and leaves nothing, with the test.
func newPair(t testing.TB, served tasks) *pair {
	t.Helper()
	a, b := link.Pipe()
	make := func(tr link.Transport, name string, dialled bool) *dialog.Table {
		l := link.New(tr, link.Config{Self: actor.NewID(name), Dialled: dialled, Log: slog.New(slog.DiscardHandler)})
		return dialog.NewTable(l, dialog.Config{Accept: served.accept})
	}
	p := &pair{parent: make(a, "parent", false), child: make(b, "child", true)}
	<-p.parent.Link().Greeted()
	<-p.child.Link().Greeted()
	t.Cleanup(func() {
		p.child.Link().Close(nil)
		<-p.child.Link().Done()
		<-p.parent.Link().Done()
		for _, table := range []*dialog.Table{p.parent, p.child} {
			if err := table.Link().Err(); err != nil {
				t.Errorf("%s: link ended with %v", table.Self(), err)
			}
			table.Lose(errors.New("the test is over"))
			table.Close()
			if n := table.Len(); n != 0 {
				t.Errorf("C15: %s: %d dialogs left in the table", table.Self(), n)
			}
		}
	})
	return p
}

func TestP01_CallReturnsTheValue(t *testing.T) {
	p := newPair(t, tasks{"echo": func(_ context.Context, d *dialog.Dialog) ([]byte, error) { return d.Args(), nil }})
	for _, want := range []string{"hello", ""} {
		got, err := p.parent.Call(t.Context(), dialog.Request{Endpoint: "echo", Kind: dialog.Func, Args: []byte(want)})
		if err != nil || string(got) != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
}

func TestM03_EchoStreamEndsWhenOneSideCloses(t *testing.T) {
	p := newPair(t, tasks{"echo": echoStream})
	var got []string
	err := p.child.Scope(t.Context(), dialog.Request{Endpoint: "echo", Kind: dialog.Context}, func(ctx context.Context, d *dialog.Dialog) error {
		s, err := d.OpenStream(dialog.StreamOptions{})
		if err != nil {
			return err
		}
		for range 1000 {
			if err := s.Send(ctx, []byte("x")); err != nil {
				return err
			}
			m, err := s.Recv(ctx)
			if err != nil {
				return err
			}
			got = append(got, string(m))
		}
		s.CloseSend()
		if _, err := s.Recv(ctx); !errors.Is(err, io.EOF) {
			t.Errorf("after the peer's end: %v, want io.EOF", err)
		}
		return nil
	})
	if err != nil || len(got) != 1000 {
		t.Fatalf("%d messages, %v", len(got), err)
	}
}

// echoStream is a callee that sends back what it receives.
func echoStream(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
	if err := d.Started(nil); err != nil {
		return nil, err
	}
	s, err := d.OpenStream(dialog.StreamOptions{})
	if err != nil {
		return nil, err
	}
	for {
		m, err := s.Recv(ctx)
		if errors.Is(err, io.EOF) {
			return []byte("done"), nil
		}
		if err == nil {
			err = s.Send(ctx, m)
		}
		if err != nil {
			return nil, err
		}
	}
}
