package dialog_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Each Send that has to wait counts once, however often it looks again; a Send
// that finds room does not count.
func TestM08_SendsThatHadToWaitAreCounted(t *testing.T) {
	const window, more = 4, 3
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			s := stream(t, d)
			<-ctx.Done()
			for range window + more {
				if _, err := s.Recv(ctx); err != nil && !errors.Is(err, context.Cause(ctx)) {
					return nil, err
				}
			}
			return nil, ctx.Err()
		}), func(s *setup) { s.window = dialog.Window{Messages: window} })
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			synctest.Wait()
			for range window {
				if err := s.Send(ctx, []byte("m")); err != nil {
					return err
				}
			}
			if n := p.parent.Stats().Waits; n != 0 {
				t.Errorf("%d sends had to wait while there was room", n)
			}
			senders := [more]*attempt{}
			for i := range senders {
				senders[i] = beside(func() error { return s.Send(ctx, []byte("m")) })
				synctest.Wait()
			}
			if n := p.parent.Stats().Waits; n != more {
				t.Errorf("%d sends had to wait, want %d", n, more)
			}
			err := d.Cancel(ctx, "enough")
			for _, a := range senders {
				_ = a.wait() // the cancel, or nil
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		if mine, theirs := p.parent.Stats(), p.child.Stats(); mine.Waits != more || theirs.Waits != 0 {
			t.Errorf("%d and %d sends had to wait, want %d and none", mine.Waits, theirs.Waits, more)
		}
	})
}

// A message beyond credit, to an end that has not opened, waits for the verdict;
// the receiver counts the overrun.
func TestM08_OverrunsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(waits), func(s *setup) { s.window = dialog.Window{Messages: 2} })
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			_, err := flood(ctx, stream(t, d))
			return err
		})
		if _, ok := errors.AsType[*fault.StreamOverrun](err); !ok {
			t.Errorf("the scope: %v", err)
		}
		mine, theirs := p.parent.Stats(), p.child.Stats()
		if mine.Waits != 1 || mine.MessagesOut != 3 || mine.Overruns != 0 {
			t.Errorf("sender: %+v, want 3 messages, of which one waited", mine)
		}
		if theirs.MessagesIn != 3 || theirs.Overruns != 1 || theirs.Waits != 0 {
			t.Errorf("receiver: %+v, want 3 messages and one overrun", theirs)
		}
	})
}

func TestC15_StatsCountDialogsAndGoBackToNoneOpen(t *testing.T) {
	const calls, size = 10, 300 << 10
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) { return d.Args(), nil }})
		before := p.parent.Stats().Link
		for range calls {
			if _, err := call(t.Context(), p.parent, string(make([]byte, size))); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		mine, theirs := p.parent.Stats(), p.child.Stats()
		if mine.Opened != calls || theirs.Accepted != calls || mine.Accepted != 0 || theirs.Opened != 0 || mine.Open != 0 || theirs.Open != 0 {
			t.Errorf("opener %+v, callee %+v; want %d dialogs, none open", mine, theirs, calls)
		}
		out, in := mine.Link, theirs.Link
		if out.FramesOut != in.FramesIn || out.PacketsOut != in.PacketsIn || out.BytesOut != in.BytesIn || out.BytesOut != calls*size || in.BytesOut != calls*size {
			t.Errorf("what goes out does not come in: %+v, %+v", out, in)
		}
		if pieces := out.FramesOut - before.FramesOut; pieces != 4*calls { // a Start, and pieces of 128 KiB
			t.Errorf("%d frames, want %d", pieces, 4*calls)
		}
	})
}

func TestC16_StatsCountLateFramesAndViolations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, call := besiege(t)
		before := r.table.Stats()
		r.send(yield(over, "late"), frame(over, wire.Kind_KIND_CANCEL), yield(99, "nobody's"))
		after := r.table.Stats()
		if late := after.Late - before.Late; late != 2 {
			t.Errorf("%d late frames, want 2", late)
		}
		if n := after.Link.Violations - before.Link.Violations; n != 1 {
			t.Errorf("%d violations, want 1", n)
		}
		if after.Open != 3 { // idle, echo, and the call
			t.Errorf("%d dialogs are open, want 3", after.Open)
		}
		r.unharmed(call)
	})
}

// What nothing has gone over has counted nothing but the greeting.
func TestStatsBeginAtZero(t *testing.T) {
	p := newPair(t, nil)
	got := p.parent.Stats()
	got.Link.PacketsIn, got.Link.PacketsOut, got.Link.FramesIn, got.Link.FramesOut = 0, 0, 0, 0
	if (got != dialog.Stats{Link: link.Stats{}}) {
		t.Errorf("%+v", got)
	}
}
