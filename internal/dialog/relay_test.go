package dialog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func TestD05_CallOverARelay(t *testing.T) {
	var opener actor.ID
	c := newTrio(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
		opener = d.Peer()
		return append([]byte("got "), d.Args()...), nil
	}})
	value, err := c.call(t.Context(), []byte("it"))
	if string(value) != "got it" || err != nil || !opener.Is(c.firstID) {
		t.Errorf("%q, %v, called by %v", value, err, opener)
	}
	value, err = c.last.To(c.toFirst).Call(t.Context(), &dialog.Request{Endpoint: "task", Kind: dialog.Func, Args: []byte("back")})
	if string(value) != "got back" || err != nil || !opener.Is(c.lastID) {
		t.Errorf("%q, %v, called by %v", value, err, opener)
	}
}

// Values of all sizes, from those that go with control to those in many pieces.
func TestD05_LargeValuesOverARelay(t *testing.T) {
	c := newTrio(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) { return bytes.Clone(d.Args()), nil }}, patient)
	for _, size := range []int{0, 1, link.Copied, link.Copied + 1, 1 << 20, 3 << 20} {
		args := bytes.Repeat([]byte("v"), size)
		if value, err := c.call(t.Context(), bytes.Clone(args)); !bytes.Equal(value, args) || err != nil {
			t.Errorf("%d bytes came back as %d, %v", size, len(value), err)
		}
	}
}

// A START with its arguments in it is passed on, however large they are.
func TestD05_ArgumentsInAStartOverARelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan int, 1)
		far := newPair(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
			got <- len(d.Args())
			return nil, nil
		}})
		r := newRaw(t, nil, func(s *setup) { s.route = through(far.parent) })
		f := targeted(2+1, dialog.Func)
		f.Payload = make([]byte, 100<<10)
		r.send(f)
		if size := <-got; size != 100<<10 || len(r.got(wire.Kind_KIND_RETURN, 3)) != 1 {
			t.Errorf("%d bytes of arguments, %d answers", size, len(r.got(wire.Kind_KIND_RETURN, 3)))
		}
	})
}

// through is the route of all that a raw peer opens.
func through(next *dialog.Table) func(*wire.Start) (*dialog.Table, error) {
	return func(s *wire.Start) (*dialog.Table, error) {
		s.Opener = &wire.Address{Path: "raw", Actor: &wire.Identity{Uuid: "raw"}}
		return next, nil
	}
}

// here is for actors that take what is relayed to them.
func here(s *setup) { s.route = func(*wire.Start) (*dialog.Table, error) { return nil, nil } } //nolint:nilnil // it is for this actor

// targeted is a START for another actor.
func targeted(id uint64, kind dialog.Kind) *wire.Frame {
	f := start(id, kind)
	f.Start.Target = &wire.Address{Path: "there"}
	return f
}

// Messages both ways through windows of two, with some that are larger than the window: all come, in order, and
// no side sends more than the other end has room for.
func TestM02_StreamsOverARelay(t *testing.T) {
	const messages = 2000
	sender := func(ctx context.Context, s *dialog.Stream) error {
		for n := range messages {
			size := 1
			if n%500 == 0 {
				size = 300 << 10
			}
			if err := s.Send(ctx, append(bytes.Repeat([]byte("x"), size), fmt.Sprintf(" %d", n)...)); err != nil {
				return err
			}
		}
		s.CloseSend()
		return nil
	}
	receiver := func(ctx context.Context, s *dialog.Stream) error {
		for n := 0; ; n++ {
			m, err := s.Recv(ctx)
			if err == io.EOF && n == messages { //nolint:errorlint // a failure may wrap one
				return nil
			}
			if err != nil || !strings.HasSuffix(string(m), fmt.Sprintf(" %d", n)) {
				return fmt.Errorf("M02: message %d is %.20q, %w", n, m, err)
			}
		}
	}
	both := func(ctx context.Context, d *dialog.Dialog) error {
		s, err := d.OpenStream(dialog.StreamOptions{Window: dialog.Window{Messages: 2, Bytes: 1 << 10, Most: 2}})
		if err != nil {
			return err
		}
		d.Go(func(ctx context.Context) error { return sender(ctx, s) })
		return receiver(ctx, s)
	}
	c := newTrio(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) { return nil, both(ctx, d) }), patient)
	if err := c.open(t.Context(), both); err != nil {
		t.Error(err)
	}
}

// C02: a Cancel over a relay returns when the callee's clean-up is done, is absorbed, and names who asked.
func TestC02_CancelOverARelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told error
		cleaned := false
		c := newTrio(t, started(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
			<-ctx.Done()
			told = context.Cause(ctx)
			time.Sleep(100 * time.Millisecond)
			cleaned = true
			return nil, ctx.Err()
		}))
		err := c.open(t.Context(), func(ctx context.Context, d *dialog.Dialog) error {
			began := time.Now()
			if err := d.Cancel(ctx, "enough"); err != nil || !cleaned {
				t.Errorf("Cancel: %v, cleaned up: %v", err, cleaned)
			}
			within(t, began, 100*time.Millisecond)
			return nil
		})
		asked, named := fault.Cancelled(told)
		if err != nil || !named || !asked.Canceller.Is(c.firstID) || asked.Reason != "enough" {
			t.Errorf("the scope ends with %v, and the callee was told %v", err, told)
		}
	})
}

// The callee's Cancel as well: its answer may come when the ending has passed the relay already.
func TestC02_CalleesCancelOverARelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		acked := make(chan error, 1)
		c := newTrio(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			go func() { acked <- d.Cancel(context.Background(), "enough") }()
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		err := c.open(t.Context(), func(ctx context.Context, _ *dialog.Dialog) error {
			<-ctx.Done()
			time.Sleep(100 * time.Millisecond)
			return ctx.Err()
		})
		asked, named := fault.Cancelled(err)
		if ack := <-acked; ack != nil || !named || !asked.Canceller.Is(c.lastID) {
			t.Errorf("Cancel gives %v, and the scope ends with %v", ack, err)
		}
	})
}

// An opener that never answers leaves nothing at the relay, once the callee waits no longer.
func TestC15_AnUnansweredCancelLeavesNothingAtTheRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			go d.Cancel(context.Background(), "enough") // it is not answered
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		r := newRaw(t, nil, func(s *setup) { s.route = through(far.parent) })
		r.send(targeted(1, dialog.Context))
		r.got(wire.Kind_KIND_STARTED, 1)
		r.send(ending(1, wire.Kind_KIND_FAIL, errBoom, actor.NewID("raw")))
		if n := r.table.Len(); len(r.got(wire.Kind_KIND_ERROR, 1)) != 1 || n != 1 {
			t.Errorf("%d dialogs are there while the answer may come", n)
		}
		time.Sleep(cancelTimeout)
		synctest.Wait()
		if n := r.table.Len() + far.parent.Len(); n != 0 {
			t.Errorf("C15: %d dialogs are left at the relay", n)
		}
	})
}

// E04: a failure has the actor where it arose, and the path that it took.
func TestE04_FailureOverARelay(t *testing.T) {
	c := newTrio(t, tasks{"task": func(context.Context, *dialog.Dialog) ([]byte, error) { return nil, errBoom }})
	_, err := c.call(t.Context(), nil)
	e := remote(t, err)
	if !errors.Is(err, errBoom) || !e.Origin.Is(c.lastID) || len(e.Relays) != 1 || !e.Relays[0].Is(c.relay) {
		t.Errorf("%v, from %v over %v", err, e.Origin, e.Relays)
	}
}

// T01: the opener's deadline is the callee's, and its own error.
func TestT01_DeadlineOverARelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := newTrio(t, tasks{"task": func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
			if until, ok := ctx.Deadline(); !ok || until.Sub(began) != time.Second {
				t.Errorf("the callee has a deadline in %v: %v", until.Sub(began), ok)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if _, err := c.call(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		within(t, began, time.Second)
	})
}

// Whoever of the three is lost in the middle of a stream, the others hear of it at once, each once, and
// with the name of the one that is lost to the relay; nothing is left.
func TestD05_LossOverARelay(t *testing.T) {
	dead := &fault.ActorDied{ID: actor.NewID("dead"), Signal: "killed"}
	for name, lose := range map[string]func(c *trio){
		"the callee": func(c *trio) { c.far.Lose(dead); kill(c.last) },
		"the opener": func(c *trio) { c.near.Lose(dead); kill(c.first) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told error
				c := newTrio(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
					s := stream(t, d)
					for {
						if _, err := s.Recv(ctx); err != nil {
							<-ctx.Done()
							told = context.Cause(ctx)
							return nil, err
						}
					}
				}))
				began := time.Now()
				err := c.open(t.Context(), func(ctx context.Context, d *dialog.Dialog) error {
					s := stream(t, d)
					for range 10 {
						if err := s.Send(ctx, []byte("m")); err != nil {
							return err
						}
					}
					synctest.Wait()
					lose(c)
					<-ctx.Done()
					return context.Cause(ctx)
				})
				synctest.Wait()
				within(t, began, 0)
				there := err
				if name == "the opener" {
					there = told
				}
				died, ok := errors.AsType[*fault.ActorDied](there)
				if !ok || !died.ID.Is(dead.ID) || !remote(t, there).Origin.Is(c.relay) {
					t.Errorf("who is left was told %v", there)
				}
				if !errors.Is(err, fault.ErrActorLost) || !errors.Is(told, fault.ErrActorLost) {
					t.Errorf("the ends were told %v and %v", err, told)
				}
				for _, table := range c.all() {
					if n := table.Len(); n != 0 {
						t.Errorf("C15: %d dialogs left at %v", n, table.Self())
					}
				}
			})
		})
	}
}

// The relay refuses what leads nowhere, and when it ends itself; a call fails with its reason.
func TestD05_RefusedByTheRelay(t *testing.T) {
	c := newTrio(t, tasks{"task": waits})
	c.far.Refuse(errBoom)
	_, err := c.call(t.Context(), nil)
	if e := remote(t, err); !errors.Is(err, errBoom) || !e.Origin.Is(c.relay) {
		t.Errorf("%v, from %v", err, e.Origin)
	}
}

// Only half of what the callee takes is for the dialogs of others, which leaves room for the relay's own; and one
// opener has no more of that than it leaves to others.
func TestF06_ARelayLeavesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := 0
		far := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			begun++
			return waits(ctx, d)
		}), here, func(s *setup) { s.maxDialogs = 10 })
		greedy, modest := openers(t, far.parent), openers(t, far.parent)
		for i := range uint64(20) {
			greedy.send(targeted(2*i+1, dialog.Context))
		}
		if refused := greedy.got(wire.Kind_KIND_ERROR, 39); begun != 3 || len(refused) != 1 || !errors.Is(fault.Unpack(refused[0].Fault), fault.ErrOverloaded) {
			t.Errorf("%d of 20 have begun; the callee takes 10", begun)
		}
		elsewhere := targeted(1, dialog.Context)
		elsewhere.Start.Target.Path = "elsewhere"
		if modest.send(elsewhere); begun != 4 {
			t.Error("another opener's dialog has not begun")
		}
		ctx, stop := context.WithCancel(t.Context())
		own := beside(func() error { return open(ctx, far.parent, func(context.Context, *dialog.Dialog) error { return nil }) })
		if synctest.Wait(); begun != 5 {
			t.Error("the relay's own dialog has not begun")
		}
		stop()
		_ = own.wait()
	})
}

// As well no callee has more than it leaves to others that the next actor hosts.
func TestF06_ACalleeLeavesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := 0
		far := newPair(t, tasks{"task": func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			begun++
			return waits(ctx, d)
		}}, here, func(s *setup) { s.maxDialogs = 20 })
		for range 10 { // many openers
			r := openers(t, far.parent)
			r.send(targeted(1, dialog.Func))
		}
		if begun != 5 {
			t.Errorf("%d of 10 have begun", begun)
		}
		other := targeted(1, dialog.Func)
		other.Start.Target.Path = "beside"
		openers(t, far.parent).send(other)
		if begun != 6 {
			t.Error("another actor is not reached")
		}
	})
}

// openers is a raw peer whose dialogs go over its table to next.
func openers(t *testing.T, next *dialog.Table) *raw {
	return newRaw(t, nil, func(s *setup) { s.route = through(next) })
}

// A callee whose opener is lost counts until its task has ended: openers that come and go do not use up what it
// takes of its host.
func TestF06_LostOpenersCountUntilTheirTasksHaveEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, end := 0, make(chan struct{})
		far := newPair(t, tasks{"task": func(context.Context, *dialog.Dialog) ([]byte, error) {
			begun++
			<-end
			return nil, nil
		}}, here, func(s *setup) { s.maxDialogs = 10 })
		for range 20 {
			r := openers(t, far.parent)
			r.send(targeted(1, dialog.Func))
			r.end.Abort()
		}
		if synctest.Wait(); begun != 3 || far.parent.Len() != 3 {
			t.Errorf("%d tasks have begun, the relay has %d dialogs; the callee takes 10", begun, far.parent.Len())
		}
		close(end)
		if synctest.Wait(); far.parent.Len() != 0 {
			t.Errorf("C15: %d dialogs are left when the tasks have ended", far.parent.Len())
		}
	})
}

// Whatever an opener sends over a relay, the relay's own link to the callee has no violation, the dialog fails,
// and the next one works.
func TestF06_AHostileOpenerHarmsOnlyItsDialog(t *testing.T) {
	id := actor.NewID("raw")
	for name, frames := range map[string][]*wire.Frame{
		"messages without credit":  manyYields(100),
		"credit that was not used": {{Dialog: 1, Kind: wire.Kind_KIND_CREDIT, Credit: &wire.Window{Messages: 1 << 20}}},
		"an end that opens twice":  {frame(1, wire.Kind_KIND_ATTACH), frame(1, wire.Kind_KIND_ATTACH)},
		"a failure without fault":  {frame(1, wire.Kind_KIND_FAIL)},
		"arguments again":          {frame(1, wire.Kind_KIND_ARGUMENTS)},
		"wrong count":              {withYields(ending(1, wire.Kind_KIND_FAIL, errBoom, id)), frame(1, wire.Kind_KIND_STOP)},
		"fields of others": {{
			Dialog: 1, Kind: wire.Kind_KIND_CANCEL, Payload: make([]byte, 100<<10), Start: &wire.Start{Endpoint: "x"}, Hello: &wire.Hello{},
			Cancel: &wire.Cancel{Reason: strings.Repeat("r", 100<<10)}, Fault: fault.Pack(errBoom, id),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := 0
				far := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
					_ = stream(t, d, dialog.StreamOptions{Window: dialog.Window{Messages: 2, Most: 2}})
					<-ctx.Done()
					ended++
					return nil, ctx.Err()
				}), here)
				r := newRaw(t, nil, func(s *setup) { s.route = through(far.parent) })
				r.send(targeted(1, dialog.Context))
				for range 40 { // more than a link lets pass
					r.send(frames...)
				}
				if ended != 1 {
					t.Errorf("%d tasks have ended, of one", ended)
				}
				if n := far.parentWarns.n.Load() + far.childWarns.n.Load(); n != 0 {
					t.Errorf("F06: %d violations on the innocent link", n)
				}
				r.send(targeted(3, dialog.Context))
				if len(r.got(wire.Kind_KIND_STARTED, 3)) != 1 {
					t.Error("F06: the next dialog does not begin")
				}
				r.send(ending(3, wire.Kind_KIND_FAIL, errBoom, id))
			})
		})
	}
}

func manyYields(n int) (frames []*wire.Frame) {
	for range n {
		frames = append(frames, yield(1, "m"))
	}
	return frames
}

func withYields(f *wire.Frame) *wire.Frame {
	f.Yields = 5
	return f
}

// What only a callee may send is the opener's own violation, since no relay passes it on.
func TestF06_TheRelayJudgesWhatOnlyACalleeSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newPair(t, started(waits))
		r := newRaw(t, nil, func(s *setup) { s.route = through(far.parent) })
		r.send(targeted(1, dialog.Context))
		r.send(frame(1, wire.Kind_KIND_RETURN), frame(1, wire.Kind_KIND_STARTED), frame(1, wire.Kind_KIND_LOST), ending(1, wire.Kind_KIND_ERROR, errBoom, actor.NewID("raw")))
		if n := r.warns.n.Load(); n != 4 {
			t.Errorf("%d violations were counted, of 4", n)
		}
		r.send(ending(1, wire.Kind_KIND_FAIL, errBoom, actor.NewID("raw")))
		if n := far.parent.Len(); n != 0 || len(r.got(wire.Kind_KIND_ERROR, 1)) != 1 {
			t.Errorf("%d dialogs are left", n)
		}
	})
}

// LOST is a relay's word: of a dialog that nobody relays it is a violation, and changes nothing.
func TestF06_LostOfADialogThatNobodyRelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, started(waits))
		r.send(start(1, dialog.Context))
		r.send(frame(1, wire.Kind_KIND_LOST))
		if n := r.warns.n.Load(); n != 1 || r.table.Len() != 1 {
			t.Errorf("%d violations, %d dialogs", n, r.table.Len())
		}
	})
}

// Runtime endpoints are between an actor and its host: nobody else may end an actor.
func TestF06_RuntimeEndpointsAreNotRelayed(t *testing.T) {
	c := newTrio(t, tasks{wire.CancelActor: waits, wire.DirectoryPrefix + "x": func(context.Context, *dialog.Dialog) ([]byte, error) { return []byte("x"), nil }})
	far := c.first.To(c.toLast)
	if _, err := far.Call(t.Context(), &dialog.Request{Endpoint: wire.CancelActor, Kind: dialog.Func}); !errors.Is(err, fault.ErrNotExposed) {
		t.Errorf("trellis/cancel over a relay: %v", err)
	}
	if value, err := far.Call(t.Context(), &dialog.Request{Endpoint: wire.DirectoryPrefix + "x", Kind: dialog.Func}); string(value) != "x" {
		t.Errorf("the directory over a relay: %v", err)
	}
}

// hub is a relay between an opener and a raw callee.
func hub(t *testing.T) (opener *pair, callee *raw) {
	callee = newRaw(t, nil)
	return newPair(t, nil, func(s *setup) { s.route = through(callee.table) }), callee
}

// there is an actor that a pair's parent relays to.
func (p *pair) there() dialog.Target { return p.child.To(&wire.Address{Path: "there"}) }

// collect reads all that comes, and gives the number of messages and why no more come.
func (p *pair) collect(t *testing.T) (messages int, why error) {
	_ = open(t.Context(), p.there(), func(ctx context.Context, d *dialog.Dialog) error {
		s := stream(t, d)
		for why == nil {
			if _, why = s.Recv(ctx); why == nil {
				messages++
			}
		}
		return why
	})
	return messages, why
}

// M04: what was sent before a failure that has overtaken it comes, though the dialog is over.
func TestM04_AFailureOvertakesMessagesOverARelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opener, callee := hub(t)
		n, why := 0, error(nil)
		scope := beside(func() error { n, why = opener.collect(t); return nil })
		synctest.Wait()
		callee.send(frame(2, wire.Kind_KIND_STARTED))
		callee.send(failed(callee, 2))
		if scope.over() || opener.parent.Len() != 1 {
			t.Error("the messages before the failure are not awaited")
		}
		callee.send(yield(2, "m"), yield(2, "m"), frame(2, wire.Kind_KIND_STOP))
		if !scope.over() || n != 2 || !errors.Is(why, errBoom) || opener.parent.Len() != 0 {
			t.Errorf("%d messages, %v; %d dialogs are left", n, why, opener.parent.Len())
		}
	})
}

// And what had come as far as the relay before the callee was lost.
func TestM04_TheLossOfACalleeComesBehindItsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opener, callee := hub(t)
		n, why := 0, error(nil)
		scope := beside(func() error { n, why = opener.collect(t); return nil })
		synctest.Wait()
		callee.send(frame(2, wire.Kind_KIND_STARTED), yield(2, "m"), yield(2, "m"))
		callee.end.Abort()
		if _ = scope.wait(); n != 2 || !errors.Is(why, fault.ErrActorLost) {
			t.Errorf("%d messages, %v", n, why)
		}
	})
}

// What a hop does not take fails the dialog at both ends, and the opener's scope waits for the callee.
func TestC05_AMessageThatAHopDoesNotTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cleaned := false
		var told error
		opened := make(chan struct{}) // or the failure would come before
		far := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			_ = stream(t, d)
			close(opened)
			<-ctx.Done()
			told = context.Cause(ctx)
			time.Sleep(time.Second)
			cleaned = true
			return nil, ctx.Err()
		}), here, func(s *setup) { s.maxMessage = 100 })
		near := newPair(t, nil, func(s *setup) { s.route = through(far.parent) })
		err := open(t.Context(), near.there(), func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			<-opened
			if err := errors.Join(s.Send(ctx, make([]byte, 100)), s.Send(ctx, make([]byte, 101))); err != nil {
				return err
			}
			<-ctx.Done()
			return s.Send(ctx, nil)
		})
		if !errors.Is(err, fault.ErrMessageTooLarge) || !errors.Is(told, fault.ErrMessageTooLarge) || !cleaned {
			t.Errorf("the scope: %v, the callee: %v, cleaned up: %v", err, told, cleaned)
		}
		if n := near.parent.Len() + far.parent.Len(); n != 0 {
			t.Errorf("C15: %d dialogs are left", n)
		}
	})
}

// A value that a hop does not take is a failure for the caller, and the next call works.
func TestD05_AValueThatAHopDoesNotTake(t *testing.T) {
	far := newPair(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) { return make([]byte, len(d.Args())*100), nil }}, here)
	near := newPair(t, nil, func(s *setup) { s.route, s.maxMessage = through(far.parent), 1000 })
	for _, size := range []int{10, 11, 10} {
		value, err := near.there().Call(t.Context(), &dialog.Request{Endpoint: "task", Kind: dialog.Func, Args: make([]byte, size)})
		if size > 10 && !errors.Is(err, fault.ErrMessageTooLarge) || size <= 10 && (err != nil || len(value) != 100*size) {
			t.Errorf("with %d bytes: %d bytes, %v", size, len(value), err)
		}
	}
}

// A relay sends on no more of a frame than belongs to its kind.
func TestF06_OnlyTheFieldsOfItsKindAreSentOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		callee := newRaw(t, nil)
		r := openers(t, callee.table)
		r.send(targeted(1, dialog.Context))
		w := &wire.Window{Messages: 1, Bytes: 1}
		for kind, want := range map[wire.Kind]*wire.Frame{
			wire.Kind_KIND_YIELD:      {Payload: []byte("p"), Probe: true},
			wire.Kind_KIND_STOP:       {Deaf: true},
			wire.Kind_KIND_ARGUMENTS:  {Payload: []byte("p")},
			wire.Kind_KIND_CREDIT:     {Credit: w, Window: w},
			wire.Kind_KIND_ATTACH:     {Window: w, Overflow: 1},
			wire.Kind_KIND_CANCEL_ACK: {},
		} {
			r.send(&wire.Frame{
				Dialog: 1, Kind: kind, Payload: []byte("p"), Probe: true, Deaf: true, Yields: 1, Credit: w, Window: w, Overflow: 1, Attached: true,
				Start: &wire.Start{Endpoint: "x"}, Hello: &wire.Hello{Version: 1}, Cancel: &wire.Cancel{Reason: "x"}, Fault: fault.Pack(errBoom, actor.NewID("raw")),
			})
			want.Kind, want.Dialog = kind, 2
			if got := callee.got(kind, 2); len(got) != 1 || !proto.Equal(got[0], want) {
				t.Errorf("%v is sent on as %v", kind, got)
			}
		}
	})
}

// P13: the host of a callee hears that it does not end, whoever has called it and has told it to.
func TestP13_TheHostOfARelayedCalleeHearsThatItIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		stuck := make(chan dialog.StuckTask, 2)
		far := newPair(t, tasks{"task": func(context.Context, *dialog.Dialog) ([]byte, error) { <-end; return nil, nil }},
			here, func(s *setup) { s.stuck = func(task dialog.StuckTask) { stuck <- task } })
		r := openers(t, far.parent)
		r.send(targeted(1, dialog.Func))
		r.send(ending(1, wire.Kind_KIND_FAIL, errBoom, actor.NewID("raw")))
		time.Sleep(cancelTimeout - 1)
		if synctest.Wait(); len(stuck) != 0 {
			t.Error("it is stuck before the cancel bound is over")
		}
		time.Sleep(time.Nanosecond)
		if synctest.Wait(); len(stuck) != 1 || (<-stuck).Endpoint != "task" || len(far.parent.Stuck()) != 1 {
			t.Errorf("told of %d more, and the table has %v", len(stuck), far.parent.Stuck())
		}
		close(end)
		if synctest.Wait(); len(far.parent.Stuck()) != 0 {
			t.Error("it has ended, and is still stuck")
		}
	})
}

// C20: a context of an actor with itself goes to its neighbour and back, over one link.
func TestC20_AnActorWithItself(t *testing.T) {
	c := newTrio(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
		s := stream(t, d)
		m, err := s.Recv(ctx)
		return m, errors.Join(err, s.Send(ctx, m))
	}))
	c.toItself = true
	err := c.open(t.Context(), func(ctx context.Context, d *dialog.Dialog) error {
		if !d.Peer().Is(c.firstID) {
			t.Errorf("the peer is %v", d.Peer())
		}
		s := stream(t, d)
		if err := s.Send(ctx, []byte("m")); err != nil {
			return err
		}
		m, err := s.Recv(ctx)
		if string(m) != "m" {
			t.Errorf("%q", m)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// F06: what a peer says of whom a dialog is for, and who has opened it, is cut before it is kept or sent on:
// no limit of arguments counts it, and a relay that adds to a packet of the largest size would break its link.
func TestF06_AddressesAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got *wire.Start
		r := newRaw(t, tasks{}, func(s *setup) {
			s.route = func(start *wire.Start) (*dialog.Table, error) { got = start; return nil, errBoom }
		})
		long := strings.Repeat("x", 1<<20)
		f := targeted(1, dialog.Func)
		f.Start.Target = &wire.Address{Path: long, Actor: &wire.Identity{Name: long, Uuid: long}}
		f.Start.Opener = &wire.Address{Path: long, Actor: &wire.Identity{Name: long, Uuid: long}}
		r.send(f)
		if n := proto.Size(got); n == 0 || n > 16<<10 {
			t.Errorf("the START that is routed has %d bytes", n)
		}
	})
}
