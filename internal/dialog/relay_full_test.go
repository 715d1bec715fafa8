package dialog_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// F06: a callee that announces more messages than it sends keeps no place at the relay, and its opener goes on; but
// for as long as some come, all are awaited.
func TestF06_MessagesThatNeverCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opener, callee := hub(t)
		n, why := 0, error(nil)
		scope := beside(func() error { n, why = opener.collect(t); return nil })
		synctest.Wait()
		callee.send(frame(2, wire.Kind_KIND_STARTED))
		callee.send(failed(callee, 3))
		for range 2 {
			time.Sleep(50 * time.Second)
			callee.send(yield(2, "m"))
		}
		if scope.over() || callee.table.Len() != 1 {
			t.Error("messages that come are not awaited")
		}
		time.Sleep(2 * time.Minute)
		if synctest.Wait(); !scope.over() || n != 2 || why == nil {
			t.Errorf("the opener waits, or has had %d messages of 2, and then %v", n, why)
		}
		if n := opener.parent.Len() + callee.table.Len(); n != 0 {
			t.Errorf("C15: %d dialogs are left at the relay", n)
		}
	})
}

// F06: an opener that ignores credit, towards a callee that is behind, harms no dialog of others: each has its share of
// what may wait for the callee.
func TestF06_AnOpenerThatIgnoresCreditHarmsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		behind := make(chan struct{})
		callee := newRaw(t, nil, func(s *setup) { s.reads = behind })
		greedy, modest := openers(t, callee.table), openers(t, callee.table)
		greedy.send(targeted(1, dialog.Context))
		modest.send(targeted(1, dialog.Context))
		flood := yield(1, strings.Repeat("x", 8<<20))
		for n := 0; len(greedy.got(wire.Kind_KIND_FAIL, 1)) == 0; n++ {
			if greedy.send(flood); n > 100 {
				t.Fatal("F06: there is no bound")
			}
		}
		modest.send(yield(1, "m"), flood, yield(1, "m"))
		if len(modest.got(wire.Kind_KIND_FAIL, 1)) != 0 {
			t.Error("F06: a dialog of another opener has failed")
		}
		close(behind)
		pieces := callee.got(wire.Kind_KIND_YIELD, 4)
		if n := len(pieces) - len(flood.Payload)>>17 + 1; n != 3 {
			t.Errorf("F06: of 3 messages of another opener, %d have come", n)
		}
	})
}

// C02: a callee's Cancel is answered, also towards an opener whose link is full, and is lost before or after.
func TestC02_ACalleesCancelTowardsAnOpenerThatDoesNotRead(t *testing.T) {
	for _, lost := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			begin, acked := make(chan struct{}), make(chan error, 1)
			large := make([]byte, 60<<20)
			far := newPair(t, tasks{
				"task": func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
					if err := d.Started(nil); err != nil {
						return nil, err
					}
					<-begin
					go func() { acked <- d.Cancel(context.Background(), "enough") }()
					<-ctx.Done()
					return nil, ctx.Err()
				},
				"large": func(context.Context, *dialog.Dialog) ([]byte, error) { return large, nil },
			}, here)
			behind := make(chan struct{})
			r := newRaw(t, nil, func(s *setup) { s.route, s.reads = through(far.parent), behind })
			defer close(behind)
			r.send(targeted(1, dialog.Context))
			for id := uint64(3); id < 9; id += 2 {
				f := targeted(id, dialog.Func)
				f.Start.Endpoint = "large"
				r.send(f)
			}
			if lost {
				r.end.Abort()
				synctest.Wait()
			}
			close(begin)
			synctest.Wait()
			r.end.Abort()
			if err := <-acked; err != nil {
				t.Errorf("C02: its link was lost before that: %v; Cancel gives %v", lost, err)
			}
		})
	}
}
