package dialog_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
)

// O02: a list of open contexts says, at either end, with whom each is, what its task waits for, and how far its stream is.
func TestO02_TheListSaysWhoWaitsForWhat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			stream(t, d)
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}), func(s *setup) { s.window = dialog.Window{Messages: 2, Most: 2} })
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			receiving := beside(func() error { _, err := s.Recv(ctx); return err })
			synctest.Wait()
			if got := only(t, p.parent); got.Role != dialog.RoleOpener || got.Waits != "a message" || got.Credit != 2 || s.Credit() != 2 || got.Peer != p.parent.Peer().String() {
				t.Errorf("O02: the opener is %+v", got)
			}
			sending := beside(func() error { _, err := flood(ctx, s); return err })
			synctest.Wait()
			if got := only(t, p.parent); got.Waits != "room for a message" || got.Sent != 2 || got.Credit != 0 || s.Credit() != 0 {
				t.Errorf("O02: the opener is %+v", got)
			}
			if got := only(t, p.child); got.Role != dialog.RoleCallee || got.Received != 2 || got.Queued != 2 || got.Since.IsZero() {
				t.Errorf("O02: the callee is %+v", got)
			}
			err := d.Cancel(ctx, "enough")
			_, _ = receiving.wait(), sending.wait() // the cancel
			return err
		})
		if err != nil {
			t.Error(err)
		}
		if all, more := p.parent.List(math.MaxInt); len(all) > 0 || more > 0 {
			t.Errorf("C15: %+v and %d more are left", all, more)
		}
	})
}

// only is the one dialog of a table.
func only(t *testing.T, table *dialog.Table) dialog.Info {
	t.Helper()
	all, more := table.List(1)
	if len(all) != 1 || more > 0 {
		t.Fatalf("%d contexts are open, and %d more; want one", len(all), more)
	}
	if none, more := table.List(0); len(none) > 0 || more != 1 {
		t.Errorf("of one, %d are listed of 0, and %d more", len(none), more)
	}
	return all[0]
}

// N19: a question ends with its ctx, whatever the bound of a cancel is and whatever its callee does.
func TestN19_AQuestionIsNotHeldUpByWhoHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		p := newPair(t, tasks{"task": func(context.Context, *dialog.Dialog) ([]byte, error) {
			<-hang
			return nil, nil
		}}, func(s *setup) { s.patience = time.Hour })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		_, err := p.parent.Call(ctx, &dialog.Request{Endpoint: "task", Kind: dialog.Func, Impatient: true})
		if took := time.Since(begun); took != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("N19: it has ended after %v with %v", took, err)
		}
		if all, _ := p.parent.List(1); len(all) > 0 {
			t.Errorf("C15: %+v is left", all)
		}
		close(hang)
	})
}
