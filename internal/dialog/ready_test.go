package dialog_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// What TestM07_BurstRightAfterStarted does. With -ready=500ms it is about the product's
// default, and depends on the machine.
var (
	opens = flag.Int("opens", 200, "how many contexts a burst comes from, right after Started")
	ready = flag.Duration("ready", time.Minute, "how long their openers may take to open the stream")
)

// burst is as many messages as a window has room for, and the one beyond it.
func burst(id uint64) (frames []*wire.Frame) {
	for i := range dialog.DefaultMessages + 1 {
		m := yield(id, fmt.Sprint(i))
		m.Probe = i == dialog.DefaultMessages
		frames = append(frames, m)
	}
	return frames
}

// hasty makes ready timeouts that pass at once: what a test of it waits for must not
// depend on one.
func hasty(s *setup) { s.ready = time.Nanosecond }

// S1 · M07: a callee that has much to say right after Started does not fail for an opener
// whose first act is to open its stream, however slow the machine is: as a whole the time
// that an opener has is counted from when its task runs, and while its process does.
func TestM07_BurstRightAfterStarted(t *testing.T) {
	const many = 500
	p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
		s := stream(t, d)
		for i := range many {
			if err := s.Send(ctx, fmt.Append(nil, i)); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}), patient, func(s *setup) { s.ready = *ready })
	for range *opens {
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			for i := range many {
				if m, err := s.Recv(ctx); err != nil || string(m) != fmt.Sprint(i) {
					return fmt.Errorf("message %d: %q, %w", i, m, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// S1: the frames of a burst come in one packet, and its reader has seen them all before the
// opener's task is woken. However long that takes, the timeout does not count before.
func TestM07_NobodyIsLateBeforeItsTaskHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, nil, func(s *setup) { s.ready = time.Second })
		begin := make(chan struct{})
		scope := beside(func() error {
			d, err := r.table.Open(t.Context(), &dialog.Request{Endpoint: "task", Kind: dialog.Context})
			if err != nil {
				return err
			}
			<-begin
			return d.Scope(func(ctx context.Context, d *dialog.Dialog) error {
				s := stream(t, d)
				for i := range dialog.DefaultMessages + 1 {
					if m, err := s.Recv(ctx); err != nil || string(m) != fmt.Sprint(i) {
						return fmt.Errorf("message %d: %q, %w", i, m, err)
					}
				}
				return nil
			})
		})
		synctest.Wait()
		r.send(append([]*wire.Frame{frame(2, wire.Kind_KIND_STARTED)}, burst(2)...)...)
		<-time.After(time.Hour)
		if len(r.got(wire.Kind_KIND_FAIL, 2)) != 0 {
			t.Error("the opener was late before it ran")
		}
		close(begin)
		synctest.Wait()
		r.send(frame(2, wire.Kind_KIND_RETURN))
		if err := scope.wait(); err != nil {
			t.Error(err)
		}
	})
}

// M07: an opener's task shows that it will not open its stream by what it does, or does
// not do: it is told at once, or after the ready timeout. What asks for nothing of the
// stream fails nothing.
func TestM07_WhatShowsThatAnEndWillNotBeOpened(t *testing.T) {
	const ready = time.Minute
	for name, c := range map[string]struct {
		before, after func(ctx context.Context, d *dialog.Dialog) error // the message beyond the window
		late          time.Duration
		well          bool
	}{
		"its task ends":                {after: endsWell},
		"it waits for the callee":      {before: waitsFor},
		"it waits for it later":        {after: waitsFor},
		"it does nothing":              {after: sleeps, late: ready},
		"it waits, and a helper could": {before: waitsWithHelper, late: ready},
		"it opens late":                {after: opensAfter(ready - 1), well: true},
		"it opens too late":            {after: opensAfter(ready + 1), late: ready + 1},
		"it cancels":                   {after: cancelsIt, well: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
					s := stream(t, d)
					<-gate
					_, err := flood(ctx, s)
					return nil, err
				}), func(s *setup) { s.ready = ready })
				scope := beside(func() error {
					return open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
						if c.before != nil {
							return c.before(ctx, d)
						}
						<-gate
						time.Sleep(time.Second)
						return c.after(ctx, d)
					})
				})
				synctest.Wait()
				began := time.Now()
				close(gate)
				err := scope.wait()
				if c.well {
					if err != nil {
						t.Error(err)
					}
					return
				}
				overran(t, err, p.child, p.parent, false)
				if c.before == nil && c.late == 0 {
					c.late = time.Second // it did so then
				}
				within(t, began, c.late)
			})
		})
	}
}

func endsWell(context.Context, *dialog.Dialog) error { return nil }

func waitsFor(ctx context.Context, d *dialog.Dialog) error {
	_, err := d.Wait(ctx)
	return err
}

func sleeps(ctx context.Context, _ *dialog.Dialog) error {
	<-ctx.Done()
	return ctx.Err()
}

func waitsWithHelper(ctx context.Context, d *dialog.Dialog) error {
	d.Go(func(ctx context.Context) error { return sleeps(ctx, d) })
	return waitsFor(ctx, d)
}

func opensAfter(pause time.Duration) body {
	return func(ctx context.Context, d *dialog.Dialog) error {
		time.Sleep(pause - time.Second)
		s, err := d.OpenStream(dialog.StreamOptions{})
		if err != nil {
			return err
		}
		for range 200 {
			if _, err := s.Recv(ctx); err != nil {
				return err
			}
		}
		return d.Cancel(ctx, "enough")
	}
}

func cancelsIt(ctx context.Context, d *dialog.Dialog) error { return d.Cancel(ctx, "enough") }

// M07: a callee that returns a value has the last word, as if it had closed its stream.
func TestM07_ValueOfACalleeThatNeverOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(func(context.Context, *dialog.Dialog) ([]byte, error) {
			time.Sleep(time.Millisecond)
			return []byte("value"), nil
		}))
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			for range 10 * dialog.DefaultMessages {
				if err := s.Send(ctx, []byte("x")); err != nil {
					return err
				}
			}
			v, err := d.Wait(ctx)
			if string(v) != "value" {
				t.Errorf("got %q", v)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// M07: an end that is open from the start is an open end for its peer: there is no probe,
// the sender waits for credit, and the task may take as long as it likes.
func TestM07_OpenFromTheStart(t *testing.T) {
	const many = 3 * dialog.DefaultMessages
	reads := func(d *dialog.Dialog) error {
		time.Sleep(time.Hour) // as long as it likes
		if _, err := d.OpenStream(dialog.StreamOptions{WithoutBackpressure: true}); err == nil {
			return errors.New("the stream has got options twice")
		}
		s, err := d.OpenStream(dialog.StreamOptions{})
		if err != nil {
			return err
		}
		for i := range many {
			if m, err := s.Recv(d.Context()); err != nil || string(m) != fmt.Sprint(i) {
				return fmt.Errorf("message %d: %q, %w", i, m, err)
			}
		}
		if _, err = d.OpenStream(dialog.StreamOptions{}); !errors.Is(err, fault.ErrStreamClosed) {
			return fmt.Errorf("a second time: %w", err)
		}
		return nil
	}
	writes := func(d *dialog.Dialog) error {
		s, err := d.OpenStream(dialog.StreamOptions{})
		for i := 0; i < many && err == nil; i++ {
			err = s.Send(d.Context(), fmt.Append(nil, i))
		}
		return err
	}
	for name, c := range map[string]struct{ opener, callee func(*dialog.Dialog) error }{
		"opener": {reads, writes},
		"callee": {writes, reads},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := dialog.Request{Endpoint: "task", Kind: dialog.Context}
				if name == "opener" {
					r.Reads = &dialog.StreamOptions{}
				}
				p := newPair(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
					if name == "callee" {
						d.Receive(dialog.Window{}, &dialog.StreamOptions{})
					}
					if err := d.Started(nil); err != nil {
						return nil, err
					}
					return nil, c.callee(d)
				}}, hasty)
				err := p.parent.Scope(t.Context(), &r, func(_ context.Context, d *dialog.Dialog) error { return c.opener(d) })
				if err != nil {
					t.Error(err)
				}
				if n := p.parentWarns.n.Load() + p.childWarns.n.Load(); n != 1 { // a sender waits
					t.Errorf("%d warnings", n)
				}
			})
		})
	}
}
