package dialog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

const (
	idle = 1 // a context of the hostile peer, whose callee waits and has not opened
	echo = 3 // a context that is to go on undisturbed
	over = 5 // a call that has been and gone
	ours = 2 // a call that the honest side has opened
)

// besiege gives a hostile peer four dialogs to aim at.
func besiege(t *testing.T) (r *raw, call *attempt) {
	r = newRaw(t, tasks{
		"task": started(waits)["task"],
		"echo": echoStream,
		"over": func(context.Context, *dialog.Dialog) ([]byte, error) { return nil, nil },
	}, func(s *setup) { s.maxMessage = 1 << 20 })
	echoes, ends := start(echo, dialog.Context), start(over, dialog.Func)
	echoes.Start.Endpoint, ends.Start.Endpoint = "echo", "over"
	r.send(start(idle, dialog.Context), echoes, ends)
	call = beside(func() error {
		_, err := r.table.Call(t.Context(), &dialog.Request{Endpoint: "theirs", Kind: dialog.Func})
		return err
	})
	synctest.Wait()
	return r, call
}

// unharmed asserts that the other dialogs of the link go on, and lets them end.
func (r *raw) unharmed(call *attempt) {
	r.t.Helper()
	r.send(frame(echo, wire.Kind_KIND_ATTACH), yield(echo, "still there?"))
	got := r.got(wire.Kind_KIND_YIELD, echo)
	if len(got) == 0 || string(got[len(got)-1].Payload) != "still there?" {
		r.t.Errorf("the other context does not answer any more")
	}
	if call.over() {
		r.t.Errorf("the call is over: %v", call.err)
	}
	r.send(&wire.Frame{Dialog: ours, Kind: wire.Kind_KIND_RETURN})
	if err := call.wait(); err != nil {
		r.t.Errorf("the call: %v", err)
	}
}

func repeat(n int, f *wire.Frame) []*wire.Frame {
	frames := make([]*wire.Frame, n)
	for i := range frames {
		frames[i] = f
	}
	return frames
}

// with changes a frame.
func with(f *wire.Frame, change func(f *wire.Frame)) *wire.Frame {
	change(f)
	return f
}

// hostile frames, and whether they break the protocol or merely come too late.
var hostile = map[string]struct {
	frames     []*wire.Frame
	violations int64
}{
	"message to an unknown id":        {repeat(1, yield(99, "x")), 1},
	"credit for an unknown id":        {repeat(1, frame(99, wire.Kind_KIND_CREDIT)), 1},
	"cancel of an id of ours":         {repeat(1, frame(1000, wire.Kind_KIND_CANCEL)), 1},
	"return of an id of ours":         {repeat(1, frame(1000, wire.Kind_KIND_RETURN)), 1},
	"cancel before its start":         {[]*wire.Frame{frame(99, wire.Kind_KIND_CANCEL), start(99, dialog.Func)}, 1},
	"fail before its start":           {[]*wire.Frame{ending(99, wire.Kind_KIND_FAIL, errBoom, stranger(nil)), start(99, dialog.Func)}, 1},
	"start below another":             {[]*wire.Frame{start(101, dialog.Func), start(99, dialog.Func)}, 1},
	"start that leaves ids out":       {repeat(1, start(1<<62+1, dialog.Func)), 0},
	"cancel of a finished id":         {repeat(1, frame(over, wire.Kind_KIND_CANCEL)), 0},
	"message to a finished id":        {repeat(100, yield(over, "x")), 0},
	"start again":                     {repeat(1, start(idle, dialog.Context)), 1},
	"start of a finished id":          {repeat(1, start(over, dialog.Func)), 1},
	"start with our parity":           {repeat(1, start(4, dialog.Func)), 1},
	"start of the link":               {repeat(1, start(0, dialog.Func)), 1},
	"start without its fields":        {repeat(1, frame(7, wire.Kind_KIND_START)), 1},
	"start at the end of numbers":     {[]*wire.Frame{start(1<<64-1, dialog.Func), start(7, dialog.Func)}, 1},
	"arguments that nobody waits for": {repeat(1, arguments(idle, 3)), 1},
	"arguments of a call of ours":     {repeat(1, arguments(ours, 3)), 1},
	"arguments twice":                 {[]*wire.Frame{announcing(99, dialog.Func, 3), arguments(99, 3), arguments(99, 3)}, 1},
	"arguments of a finished id":      {repeat(3, arguments(over, 3)), 0},
	"more arguments than announced":   {[]*wire.Frame{announcing(99, dialog.Func, 3), arguments(99, 4)}, 1},
	"arguments over the limit":        {repeat(1, announcing(99, dialog.Func, 1<<20+1)), 0},
	"arguments without end":           {repeat(1, with(announcing(99, dialog.Func, 0), func(f *wire.Frame) { f.Start.Arguments = 1<<64 - 1 })), 0},
	"second greeting":                 {repeat(1, with(frame(0, wire.Kind_KIND_HELLO), func(f *wire.Frame) { f.Hello = &wire.Hello{} })), 1},
	"return by the opener":            {repeat(1, frame(idle, wire.Kind_KIND_RETURN)), 1},
	"error by the opener":             {repeat(1, ending(idle, wire.Kind_KIND_ERROR, errBoom, stranger(nil))), 1},
	"started by the opener":           {repeat(1, frame(idle, wire.Kind_KIND_STARTED)), 1},
	"fail without its fault":          {repeat(1, frame(idle, wire.Kind_KIND_FAIL)), 1},
	"error without its fault":         {repeat(1, frame(ours, wire.Kind_KIND_ERROR)), 1},
	"started of a call":               {repeat(1, frame(ours, wire.Kind_KIND_STARTED)), 1},
	"message to a call":               {repeat(1, yield(ours, "x")), 1},
	"ack that nobody waits for":       {repeat(3, frame(idle, wire.Kind_KIND_CANCEL_ACK)), 0},
	"kind of a later version":         {repeat(3, frame(idle, 99)), 0},
	"kind 0":                          {repeat(3, frame(idle, 0)), 0},
	"credit out of nothing":           {repeat(1, with(frame(idle, wire.Kind_KIND_CREDIT), func(f *wire.Frame) { f.Credit = &wire.Window{Messages: 1} })), 1},
	"credit that overflows":           {repeat(1, with(frame(idle, wire.Kind_KIND_CREDIT), func(f *wire.Frame) { f.Credit = &wire.Window{Messages: 1<<32 - 1, Bytes: 1<<64 - 1} })), 1},
	"credit without its window":       {repeat(1, frame(idle, wire.Kind_KIND_CREDIT)), 0},
	"messages without credit":         {repeat(dialog.DefaultMessages+1, yield(idle, "x")), 1},
	"bytes without credit":            {repeat(5, yield(idle, string(make([]byte, 1<<20)))), 1}, // room for 4 MiB
	"message after a stop":            {[]*wire.Frame{frame(idle, wire.Kind_KIND_STOP), yield(idle, "x")}, 1},
	"attach twice":                    {repeat(2, frame(idle, wire.Kind_KIND_ATTACH)), 1},
	"attach of an open end":           {[]*wire.Frame{with(start(99, dialog.Context), func(f *wire.Frame) { f.Start.Attached = true }), frame(99, wire.Kind_KIND_ATTACH)}, 1},
	"attach of a call":                {repeat(1, frame(ours, wire.Kind_KIND_ATTACH)), 1},
	"credit of a call":                {repeat(1, with(frame(ours, wire.Kind_KIND_CREDIT), func(f *wire.Frame) { f.Credit = &wire.Window{Messages: 1} })), 1},
	"message over the limit":          {repeat(1, yield(idle, string(make([]byte, 1<<20+1)))), 1},
	"pieces over the limit":           {repeat(9, with(yield(idle, string(make([]byte, 128<<10))), func(f *wire.Frame) { f.More = true })), 1},
	"pieces of two at once":           {[]*wire.Frame{with(yield(idle, "x"), func(f *wire.Frame) { f.More = true }), with(yield(echo, "x"), func(f *wire.Frame) { f.More = true })}, 1},
	"start of no kind":                {[]*wire.Frame{start(7, 0), start(9, 77)}, 0},
}

func TestC16_MalformedFramesDisturbNoOtherDialog(t *testing.T) {
	for name, c := range hostile {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, call := besiege(t)
				before := r.warns.n.Load()
				r.send(c.frames...)
				if n := r.warns.n.Load() - before; n != c.violations {
					t.Errorf("%d warnings, want %d", n, c.violations)
				}
				r.unharmed(call)
				select {
				case <-r.table.Link().Done():
					t.Errorf("the link was cut: %v", r.table.Link().Err())
				default:
				}
			})
		})
	}
}

// A message without credit fails its own dialog, on both sides, with the reason.
func TestC16_SenderWithoutCreditFailsItsDialog(t *testing.T) {
	for name, frames := range map[string][]*wire.Frame{
		"no probe":   repeat(dialog.DefaultMessages+1, yield(idle, "x")),
		"two probes": append(repeat(dialog.DefaultMessages, yield(idle, "x")), repeat(2, with(yield(idle, "x"), func(f *wire.Frame) { f.Probe = true }))...),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, call := besiege(t)
				r.send(frames...)
				fails := r.got(wire.Kind_KIND_FAIL, idle)
				if len(fails) != 1 || len(r.got(wire.Kind_KIND_ERROR, idle)) != 1 {
					t.Fatalf("%d Fails", len(fails))
				}
				err := fault.Unpack(fails[0].Fault)
				_, overrun := errors.AsType[*fault.StreamOverrun](err)
				if !errors.Is(err, fault.ErrProtocol) && !overrun {
					t.Errorf("it failed with %v", err)
				}
				r.unharmed(call)
			})
		})
	}
}

// Arguments that are not what START has announced fail their own dialog, and so does an
// announcement that nobody takes: with the reason.
func TestC16_ArgumentsThatAreNotAsAnnounced(t *testing.T) {
	for name, c := range map[string]struct {
		frames []*wire.Frame
		want   error
	}{
		"fewer":          {[]*wire.Frame{announcing(7, dialog.Func, 3), arguments(7, 2)}, fault.ErrProtocol},
		"more":           {[]*wire.Frame{announcing(7, dialog.Func, 3), arguments(7, 4)}, fault.ErrProtocol},
		"over the limit": {[]*wire.Frame{announcing(7, dialog.Func, 1<<20+1)}, fault.ErrMessageTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, call := besiege(t)
				r.send(c.frames...)
				got := r.got(wire.Kind_KIND_ERROR, 7)
				if len(got) != 1 || !errors.Is(fault.Unpack(got[0].Fault), c.want) {
					t.Errorf("it ended with %v, want %v", got, c.want)
				}
				r.unharmed(call)
			})
		})
	}
}

func TestC16_PeerThatGoesOnIsCutOffWithAReason(t *testing.T) {
	for name, f := range map[string]*wire.Frame{
		"unknown ids": yield(99, "x"),
		"starts":      start(idle, dialog.Context),
		"credit":      with(frame(idle, wire.Kind_KIND_CREDIT), func(f *wire.Frame) { f.Credit = &wire.Window{Messages: 9} }),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, call := besiege(t)
				before := r.warns.n.Load()
				r.send(repeat(1000, f)...)
				<-r.table.Link().Done()
				if err := r.table.Link().Err(); !errors.Is(err, fault.ErrProtocol) {
					t.Errorf("the link ended with %v", err)
				}
				if n := r.warns.n.Load() - before; n > 40 {
					t.Errorf("%d warnings: garbage floods the log", n)
				}
				bye := r.got(wire.Kind_KIND_BYE, 0)
				if len(bye) != 1 || bye[0].Fault == nil {
					t.Fatal("the peer was not told why")
				}
				if err := fault.Unpack(bye[0].Fault); !errors.Is(err, fault.ErrProtocol) {
					t.Errorf("the peer was told %v", err)
				}
				if _, lost := errors.AsType[*fault.LinkLost](call.wait()); !lost {
					t.Errorf("a call in flight: %v", call.err)
				}
			})
		})
	}
}

func TestC16_FirstFrameMustBeAGreeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, f := range map[string]*wire.Frame{
			"start":            start(1, dialog.Func),
			"empty greeting":   with(frame(0, wire.Kind_KIND_HELLO), func(f *wire.Frame) { f.Hello = &wire.Hello{} }),
			"nothing in it":    frame(0, wire.Kind_KIND_HELLO),
			"greeting of ours": with(frame(1, wire.Kind_KIND_HELLO), func(f *wire.Frame) { f.Hello = &wire.Hello{Version: 1, MaxMessage: 1} }),
		} {
			r := newRaw(t, tasks{"task": waits}, func(s *setup) { s.ungreeted = true })
			r.send(f)
			<-r.table.Link().Done()
			if err := r.table.Link().Err(); !errors.Is(err, fault.ErrProtocol) || r.table.Len() != 0 {
				t.Errorf("%s: the link ended with %v", name, err)
			}
		}
	})
}

// A peer of another version is refused, and both sides know why.
func TestF03_PeerOfAnotherVersionIsRefused(t *testing.T) {
	for _, version := range []uint32{wire.Version + 1, 1 << 31} {
		synctest.Test(t, func(t *testing.T) {
			r := newRaw(t, tasks{"task": waits}, func(s *setup) { s.ungreeted = true })
			newer := actor.NewID("newer")
			r.send(with(frame(0, wire.Kind_KIND_HELLO), func(f *wire.Frame) {
				f.Hello = &wire.Hello{Version: version, Self: wire.FromID(newer), MaxMessage: 1 << 20}
			}), start(1, dialog.Func))
			<-r.table.Link().Done()
			want := fmt.Sprintf("%v speaks version %d of the link protocol, and %v expects version %d: build both", newer, version, r.table.Self(), wire.Version)
			if err := r.table.Link().Err(); !errors.Is(err, fault.ErrProtocol) || !strings.Contains(err.Error(), want) {
				t.Errorf("the link ended with %v, want %q", err, want)
			}
			bye := r.got(wire.Kind_KIND_BYE, 0)
			if len(bye) != 1 || bye[0].Fault == nil {
				t.Fatalf("%d goodbyes, want one with the reason", len(bye))
			}
			if told := fault.Unpack(bye[0].Fault); !errors.Is(told, fault.ErrProtocol) || !strings.Contains(told.Error(), want) {
				t.Errorf("the peer was told %v, want %q", told, want)
			}
			select {
			case <-r.table.Link().Greeted():
				t.Error("it was greeted all the same")
			default:
			}
			if r.table.Len() != 0 || len(r.got(wire.Kind_KIND_ERROR, 1)) != 0 {
				t.Error("its Start was taken")
			}
		})
	}
}

// A peer that says that it has sent more than it will ever send holds up nobody
// for ever: what is left ends with the link, and a scope that is over is over.
func TestC16_MessagesThatWereAnnouncedAndNeverCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, nil)
		var s *dialog.Stream
		var inScope error
		scope := beside(func() error {
			return open(t.Context(), r.table, func(ctx context.Context, d *dialog.Dialog) error {
				s = stream(t, d)
				<-ctx.Done()
				leftover := beside(func() error { _, err := s.Recv(ctx); return err })
				time.Sleep(time.Second)
				s.Close()
				if inScope = leftover.wait(); leftover.took != time.Second {
					t.Errorf("Recv returned after %v", leftover.took)
				}
				return ctx.Err()
			})
		})
		synctest.Wait()
		r.send(frame(2, wire.Kind_KIND_STARTED))
		r.send(with(ending(2, wire.Kind_KIND_ERROR, errBoom, peerOf(r)), func(f *wire.Frame) { f.Yields = 1 << 63 }))
		err := scope.wait()
		if !errors.Is(err, errBoom) {
			t.Errorf("the scope: %v", err)
		}
		same(t, "a Recv that waited when the stream was closed", inScope, err)
		_, after := s.Recv(context.Background())
		same(t, "a Recv after the scope", after, err)
	})
}

// A foreign callee that returns before it has started has ended: the opener does
// not wait for a Started that cannot come, and what comes late is dropped.
func TestC04_ReturnBeforeStartedFailsTheOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, nil)
		scope := beside(func() error {
			return open(t.Context(), r.table, func(context.Context, *dialog.Dialog) error {
				t.Error("the opener's task ran")
				return nil
			})
		})
		synctest.Wait()
		r.send(frame(2, wire.Kind_KIND_RETURN))
		if !scope.over() {
			t.Fatal("the opener waits on")
		}
		if err := scope.wait(); !errors.Is(err, fault.ErrProtocol) || !strings.Contains(err.Error(), "before STARTED") {
			t.Errorf("the scope: %v", err)
		}
		r.send(frame(2, wire.Kind_KIND_STARTED), frame(2, wire.Kind_KIND_RETURN))
		if n := r.warns.n.Load(); n != 1 || r.table.Len() != 0 {
			t.Errorf("%d violations, %d dialogs; want 1 and none", n, r.table.Len())
		}
	})
}
