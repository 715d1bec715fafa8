package dialog_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// deafPeer makes a raw peer that reads nothing before reads is closed.
func deafPeer(reads chan struct{}) func(*setup) { return func(s *setup) { s.reads = reads } }

// R6: a peer that calls and calls and reads no answers has tasks begun until some
// megabytes wait for it, and no more. When it reads, all are answered.
func TestR6_TasksBeginAsTheirAnswersAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls, size = 1000, 64 << 10
		answer := make([]byte, size)
		var begun atomic.Int64
		reads := make(chan struct{})
		r := newRaw(t, tasks{"task": func(context.Context, *dialog.Dialog) ([]byte, error) {
			begun.Add(1)
			return answer, nil
		}}, deafPeer(reads))
		for id := uint64(1); id < 2*calls; id += 2 {
			r.send(start(id, dialog.Func))
		}
		if n := begun.Load(); n < 128 || n > 256 {
			t.Errorf("%d tasks have begun for answers of 64 KiB, want those whose answers fill 8 MiB and the connection", n)
		}
		ran := begun.Load()
		r.send(frame(2*calls-1, wire.Kind_KIND_CANCEL))
		close(reads)
		if n := len(r.got(wire.Kind_KIND_ERROR, 2*calls-1)); n != 1 {
			t.Errorf("the call that was cancelled while it waited has %d errors, want 1", n)
		}
		for id := uint64(1); id < 2*calls-1; id += 2 {
			if n := len(r.got(wire.Kind_KIND_RETURN, id)); n != 1 {
				t.Fatalf("call %d has %d answers, want 1", id, n)
			}
		}
		if n := begun.Load(); n != calls-1 {
			t.Errorf("%d tasks have run, want all but the one that was cancelled (%d had begun before)", n, ran)
		}
	})
}

// R6: tasks that have begun before may all have large answers. They go one after the other,
// and of those that wait only a bounded number of bytes is kept; the others fail.
func TestR6_LargeAnswersTakeTurns(t *testing.T) {
	for name, serve := range map[string]func(d *dialog.Dialog, value []byte) ([]byte, error){
		"return":  func(_ *dialog.Dialog, value []byte) ([]byte, error) { return value, nil },
		"started": func(d *dialog.Dialog, value []byte) ([]byte, error) { return nil, d.Started(value) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const calls = 100
				value := make([]byte, 4<<20)
				begun, now, all := make(chan struct{}), make(chan struct{}), make(chan error, calls)
				r := newRaw(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
					begun <- struct{}{}
					<-now
					payload, err := serve(d, value)
					all <- err
					return payload, err
				}}, deafPeer(make(chan struct{})))
				t.Cleanup(func() { close(r.reads) })
				kind := dialog.Func
				if name == "started" {
					kind = dialog.Context
				}
				for id := uint64(1); id < 2*calls; id += 2 {
					r.send(start(id, kind))
				}
				for range calls {
					<-begun
				}
				for range calls { // one by one: the first go before 256 MiB wait
					now <- struct{}{}
					synctest.Wait()
				}
				if n := r.table.Len(); n != 64 {
					t.Errorf("%d answers of 4 MiB wait for their turn, want 256 MiB", n)
				}
				r.end.Abort()
				synctest.Wait() // which loses the table
				if len(all) != calls {
					t.Errorf("%d of %d tasks have ended", len(all), calls)
				}
				for range len(all) {
					err := <-all
					if _, lost := errors.AsType[*fault.LinkLost](err); err != nil && !lost && !errors.Is(err, fault.ErrOverloaded) {
						t.Errorf("a task got %v", err)
					}
				}
			})
		})
	}
}

// R6: a task that has entered keeps its place until its answer is on its way. So a peer that asks for
// large answers and does not read them has few of them made. Those that wait are cancelled at once.
func TestR6_FewLargeAnswersAreMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls, most = 100, 4
		var made atomic.Int64
		value := make([]byte, 1<<20)
		reads := make(chan struct{})
		r := newRaw(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
			if err := d.Enter(most); err != nil {
				return nil, err
			}
			made.Add(1)
			return value, nil
		}}, deafPeer(reads))
		for id := uint64(1); id < 2*calls; id += 2 {
			r.send(start(id, dialog.Func))
		}
		if n := made.Load(); n < 8 || n > 8+most+2 {
			t.Errorf("%d answers of 1 MiB were made, want what the link takes and %d that wait", n, most)
		}
		entered, running := made.Load(), r.table.Len()
		r.send(frame(2*calls-1, wire.Kind_KIND_CANCEL))
		if n := r.table.Len(); n != running-1 {
			t.Errorf("%d dialogs run after one of %d that waited was cancelled", n, running)
		}
		close(reads)
		if acks, errs := r.got(wire.Kind_KIND_CANCEL_ACK, 2*calls-1), r.got(wire.Kind_KIND_ERROR, 2*calls-1); len(acks) != 1 || len(errs) != 1 {
			t.Errorf("the one that was cancelled has %d acks and %d errors, want one of each", len(acks), len(errs))
		}
		for id := uint64(1); id < 2*calls-1; id += 2 {
			if got := r.got(wire.Kind_KIND_RETURN, id); len(got) == 0 || got[len(got)-1].More {
				t.Fatalf("call %d has no answer", id)
			}
		}
		if n := made.Load(); n != calls-1 {
			t.Errorf("%d answers were made, want all but one (%d before it read)", n, entered)
		}
	})
}

// R6, C14: of the tasks that wait for a place when the link is lost, none begins because another one
// that has learned it has left.
func TestR6_NoTaskEntersWhenTheLinkIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls = 100
		var begun atomic.Int64
		r := newRaw(t, tasks{"task": func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			if err := d.Enter(1); err != nil {
				return nil, err
			}
			begun.Add(1)
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}})
		for id := uint64(1); id < 2*calls; id += 2 {
			r.send(start(id, dialog.Func))
		}
		r.table.Lose(errBoom)
		r.table.Wait()
		if n := begun.Load(); n != 1 {
			t.Errorf("%d tasks have begun, want only the one that ran when the link was lost", n)
		}
	})
}

// C14: a task that was told to end does not enter, also when the end of its ctx is still under way.
func TestC14_NoTaskEntersThatWasToldToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told, ends := make(chan struct{}), make(chan struct{})
		var why error
		r := newRaw(t, tasks{"task": func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			d.Delay(ends)
			<-told
			why = d.Enter(1)
			if cause := context.Cause(ctx); why != cause { //nolint:errorlint // identity is meant
				t.Errorf("Enter says %v, the ctx ended with %v", why, cause)
			}
			return nil, why
		}})
		r.send(start(1, dialog.Func))
		r.send(frame(1, wire.Kind_KIND_CANCEL))
		close(told)
		synctest.Wait()
		close(ends)
		synctest.Wait()
		if !fault.IsCancel(why) {
			t.Errorf("Enter says %v, want that the task was cancelled", why)
		}
	})
}

// R6: credit is the receiver's word for its own memory, not for the sender's: a sender waits
// for a connection that takes nothing, whatever credit it has.
func TestR6_SenderWithCreditWaitsForTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		message := make([]byte, 1<<20)
		reads := make(chan struct{})
		r := newRaw(t, tasks{"task": func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			for range 100 {
				if err := d.SourceStream().Send(ctx, message); err != nil {
					return nil, err
				}
				sent.Add(1)
			}
			return nil, nil
		}}, deafPeer(reads))
		generous := start(1, dialog.Source)
		generous.Start.Window = &wire.Window{Messages: 1 << 30, Bytes: 1 << 30}
		r.send(generous)
		if n := sent.Load(); n < 8 || n > 12 {
			t.Errorf("%d messages of 1 MiB wait for a peer that reads nothing, want about 8", n)
		}
		close(reads)
		if n := len(r.got(wire.Kind_KIND_RETURN, 1)); n != 1 || sent.Load() != 100 {
			t.Errorf("it reads, and %d messages were sent, with %d endings", sent.Load(), n)
		}
	})
}

// X4: what a peer may have running is bounded, in dialogs and in bytes of arguments. One
// more is refused, and nothing else happens to the link; the runtime's own endpoints have
// room beyond that.
func TestX4_DialogsAndArgumentsAreBounded(t *testing.T) {
	heavy := func(id uint64) *wire.Frame {
		f := start(id, dialog.Func)
		f.Payload = make([]byte, 700)
		f.Start.Metadata = map[string]string{"key": strings.Repeat("x", 297)}
		return f
	}
	announced := func(id uint64) *wire.Frame { return announcing(id, dialog.Func, 1000) } // they never come
	light := func(id uint64) *wire.Frame { return start(id, dialog.Func) }
	for name, c := range map[string]struct {
		limits link.Config
		start  func(id uint64) *wire.Frame
		text   string
	}{
		"dialogs":   {link.Config{MaxDialogs: 3}, light, "3 dialogs"},
		"arguments": {link.Config{MaxArguments: 2500}, heavy, "bytes of arguments"},
		"announced": {link.Config{MaxArguments: 2500}, announced, "bytes of arguments"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRaw(t, tasks{"task": waits}, func(s *setup) { s.limits = c.limits })
				if h := r.got(wire.Kind_KIND_HELLO, 0); len(h) != 1 ||
					c.limits.MaxDialogs > 0 && h[0].Hello.MaxDialogs != 3 || c.limits.MaxArguments > 0 && h[0].Hello.MaxArguments != 2500 {
					t.Errorf("HELLO was %v", h)
				}
				r.send(c.start(1), c.start(3), c.start(5), c.start(7), c.start(9))
				for id, want := range map[uint64]int{1: 0, 3: 0, 5: 0, 7: 1, 9: 1} {
					got := r.got(wire.Kind_KIND_ERROR, id)
					if len(got) != want {
						t.Fatalf("dialog %d: %d errors, want %d", id, len(got), want)
					}
					if want == 0 {
						continue
					}
					err := fault.Unpack(got[0].Fault)
					if !errors.Is(err, fault.ErrOverloaded) || !strings.Contains(err.Error(), c.text) {
						t.Errorf("dialog %d: %v", id, err)
					}
				}
				own := c.start(11)
				own.Start.Endpoint = dialog.RuntimePrefix + "x"
				r.send(own)
				if got := r.got(wire.Kind_KIND_ERROR, 11); len(got) != 1 || errors.Is(fault.Unpack(got[0].Fault), fault.ErrOverloaded) {
					t.Errorf("the runtime's own endpoint: %v", got)
				}
				r.send(frame(3, wire.Kind_KIND_CANCEL)) // one ends, so another may begin
				r.send(c.start(13), c.start(15))
				if len(r.got(wire.Kind_KIND_ERROR, 13)) != 0 || len(r.got(wire.Kind_KIND_ERROR, 15)) != 1 {
					t.Error("after one has ended, one more may begin and no further")
				}
				if n := r.warns.n.Load(); n != 0 {
					t.Errorf("%d violations", n)
				}
				r.table.CancelTasks(errTestOver)
				synctest.Wait()
			})
		})
	}
}

// F06: where a link's streams have all that they may have together, one more has a small window,
// which it says in every place where it says a window. What is larger passes all the same.
func TestF06_AStreamWithWhatIsGuaranteed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			s := stream(t, d)
			for {
				m, err := s.Recv(ctx)
				if err != nil {
					return nil, err
				}
				if err := s.Send(ctx, m); err != nil {
					return nil, err
				}
			}
		}))
		p.parent.Exhaust(0)
		p.child.Exhaust(0)
		lent, _ := p.parent.Spent()
		large := dialog.Window{Messages: 1000, Bytes: 64 << 20}
		err := p.parent.Scope(t.Context(), &dialog.Request{Endpoint: "task", Kind: dialog.Context, Window: large}, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d, dialog.StreamOptions{Window: large})
			for size := 1; size <= 8<<20; size *= 2 {
				if err := s.Send(ctx, make([]byte, size)); err != nil {
					return err
				}
				if m, err := s.Recv(ctx); len(m) != size {
					t.Errorf("%d of %d bytes came back: %v", len(m), size, err)
				}
			}
			return d.Cancel(ctx, "enough")
		})
		if err != nil {
			t.Error(err)
		}
		for _, table := range []*dialog.Table{p.parent, p.child} {
			if now, beyond := table.Spent(); now != lent || beyond != 0 {
				t.Errorf("%v: %d bytes are lent after the stream, %d before, and %d wait beyond windows", table.Self(), now, lent, beyond)
			}
		}
	})
}

// F06: what peers are told of a window is what is lent: in START, STARTED, ATTACH and CREDIT.
func TestF06_PeersAreToldTheWindowsThatAreLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			if _, err := stream(t, d).Recv(ctx); err != nil {
				return nil, err
			}
			return waits(ctx, d)
		}))
		said := func(what string, frames []*wire.Frame, window func(f *wire.Frame) *wire.Window, bytes uint64) {
			t.Helper()
			if len(frames) != 1 || window(frames[0]).GetBytes() != bytes || window(frames[0]).GetMessages() != dialog.DefaultMessages {
				t.Errorf("%s was %v, want one that says %d bytes", what, frames, bytes)
			}
		}
		plain := func(f *wire.Frame) *wire.Window { return f.Window }
		r.table.Exhaust(0)
		r.send(start(1, dialog.Context))
		said("STARTED", r.got(wire.Kind_KIND_STARTED, 1), plain, dialog.GuaranteedBytes)
		said("ATTACH", r.got(wire.Kind_KIND_ATTACH, 1), plain, dialog.GuaranteedBytes)
		calls := beside(func() error {
			return open(t.Context(), r.table, func(context.Context, *dialog.Dialog) error { return nil })
		})
		calls.over()
		said("START", r.got(wire.Kind_KIND_START, 2), func(f *wire.Frame) *wire.Window { return f.Start.Window }, dialog.GuaranteedBytes)
		r.table.Free()
		r.send(yield(1, string(make([]byte, dialog.GuaranteedBytes))))
		said("CREDIT", r.got(wire.Kind_KIND_CREDIT, 1), plain, 2*dialog.GuaranteedBytes)
		r.send(frame(1, wire.Kind_KIND_CANCEL), ending(2, wire.Kind_KIND_ERROR, errBoom, peerOf(r)))
		if err := calls.wait(); err == nil {
			t.Error("the context has ended well")
		}
	})
}

// F06: contexts that wait for their turn, or for their arguments, borrow nothing: the one that runs
// has its whole window, however many wait. Before STARTED there is no window: a message has no room.
func TestF06_ContextsThatWaitBorrowNothing(t *testing.T) {
	for name, size := range map[string]int{"for their turn": 0, "for their arguments": 100} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const contexts, window = 100, 2 << 20 // so much is not to be had for all of them
				r := newRaw(t, tasks{"task": func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
					if err := d.Enter(1); err != nil {
						return nil, err
					}
					d.Receive(dialog.Window{Bytes: window}, nil)
					return started(waits)["task"](ctx, d)
				}})
				for id := uint64(1); id < 2*contexts; id += 2 {
					r.send(announcing(id, dialog.Context, size))
				}
				for id := uint64(1); id < 7; id += 2 {
					if size > 0 {
						r.send(arguments(id, size))
					}
					if s := r.got(wire.Kind_KIND_STARTED, id); len(s) != 1 || s[0].Window.GetBytes() != window {
						t.Errorf("context %d: %v, want one STARTED with a window of %d bytes", id, s, window)
					}
					if lent, _ := r.table.Spent(); lent != window-dialog.GuaranteedBytes {
						t.Errorf("%d bytes are lent while one context runs, want %d", lent, window-dialog.GuaranteedBytes)
					}
					r.send(frame(id, wire.Kind_KIND_CANCEL))
				}
				before := r.warns.n.Load()
				r.send(yield(2*contexts-1, "x"))
				if n, fails := r.warns.n.Load()-before, r.got(wire.Kind_KIND_FAIL, 2*contexts-1); n != 1 || len(fails) != 1 {
					t.Errorf("%d violations and %v after a message before STARTED, want one of each", n, fails)
				}
			})
		})
	}
}

// F06: messages that have no room in their window are kept up to a bound for the whole link. The
// dialog of one more fails; the others, and messages that have room, are not touched.
func TestF06_MessagesBeyondTheWindowsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all atomic.Int64
		gate := make(chan struct{})
		p := newPair(t, tasks{"task": func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			if err := d.Started(nil); err != nil {
				return nil, err
			}
			s := stream(t, d)
			select {
			case <-gate:
			case <-ctx.Done():
			}
			for {
				m, err := s.Recv(ctx)
				if err != nil {
					return nil, err
				}
				all.Add(int64(len(m)))
			}
		}})
		send := func(size int) *attempt {
			return beside(func() error {
				return open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
					s := stream(t, d)
					if err := s.Send(ctx, make([]byte, size)); err != nil {
						return err
					}
					s.CloseSend()
					_, err := d.Wait(ctx)
					return err
				})
			})
		}
		p.child.Exhaust(dialog.MostBeyond - 1)
		last := send(1 << 20)
		if last.over() {
			t.Fatalf("a message below the bound: %v", last.err)
		}
		refused, small := send(1<<20), send(100)
		if !refused.over() || !errors.Is(refused.err, fault.ErrOverloaded) {
			t.Fatalf("one message more: %v", refused.err)
		}
		close(gate)
		if err := errors.Join(ended(last), ended(small)); err != nil || all.Load() != 1<<20+100 {
			t.Errorf("%d bytes were received, of those that were kept: %v", all.Load(), err)
		}
		if _, beyond := p.child.Spent(); beyond != dialog.MostBeyond-1 {
			t.Errorf("%d bytes still count", beyond-(dialog.MostBeyond-1))
		}
	})
}

// F06: what an honest peer sends before it hears that its dialog is overloaded breaks no rule, the
// probe included. However many dialogs fail like that, the link and its other dialogs go on.
func TestF06_MessagesThatCrossAnOverloadAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const dialogs = 100 // many more than a link forgives violations
		gate := make(chan struct{})
		r := newRaw(t, started(func(context.Context, *dialog.Dialog) ([]byte, error) {
			<-gate // the dialogs are in the table until all messages have come
			return nil, nil
		}))
		t.Cleanup(func() { close(gate) })
		r.table.Exhaust(dialog.MostBeyond)
		probe := yield(0, "x")
		probe.Probe = true
		large := yield(0, string(make([]byte, 3*dialog.GuaranteedBytes)))
		for id := uint64(1); id < 2*dialogs; id += 2 {
			large.Dialog, probe.Dialog = id, id
			r.send(start(id, dialog.Context))
			r.send(large, probe)
			fails := r.got(wire.Kind_KIND_FAIL, id)
			if len(fails) != 1 || !errors.Is(fault.Unpack(fails[0].Fault), fault.ErrOverloaded) {
				t.Fatalf("dialog %d: %v, want one failure: overloaded", id, fails)
			}
		}
		if n := r.warns.n.Load(); n != 0 {
			t.Errorf("%d violations, want none", n)
		}
		r.send(probe)
		if n := r.warns.n.Load(); n != 1 {
			t.Errorf("%d violations after a second probe, want one", n)
		}
	})
}

// ended is the failure of an attempt, but for the end of a stream, with which the callee ended.
func ended(a *attempt) error {
	if err := a.wait(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
