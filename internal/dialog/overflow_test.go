package dialog_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// M08 and M09: what the receiving end wants to happen when its buffer is full.
func TestM08_OverrunWithoutBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var atReceiver error
		p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			s := stream(t, d, dialog.StreamOptions{WithoutBackpressure: true})
			<-ctx.Done()
			atReceiver = context.Cause(ctx)
			for range dialog.DefaultMessages { // M04: what it had room for is still received
				if _, err := s.Recv(ctx); err != nil {
					t.Errorf("before the overrun: %v", err)
				}
			}
			_, err := s.Recv(ctx)
			same(t, "C23: Recv", err, atReceiver)
			return nil, err
		}))
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			synctest.Wait() // its end is open, without backpressure
			n, err := flood(ctx, s)
			if n <= dialog.DefaultMessages {
				t.Errorf("%d sends succeeded; the receiver had room for %d", n, dialog.DefaultMessages)
			}
			same(t, "C23: the ctx's cause", context.Cause(ctx), err)
			return err
		})
		overran(t, err, p.parent, p.child, true)
		overran(t, atReceiver, p.parent, p.child, true)
		if r := remote(t, err); !r.Origin.Is(p.child.Self()) {
			t.Errorf("it was not relayed by the receiver, but came from %v", r.Origin)
		}
	})
}

// A sender that has long returned its value overran the receiver all the same.
func TestM08_OverrunBeatsTheSendersValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			s := stream(t, d)
			time.Sleep(time.Second)
			for range dialog.DefaultMessages + 36 {
				_ = s.Send(ctx, []byte("x"))
			}
			return []byte("value"), nil
		}))
		var waited error
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			stream(t, d, dialog.StreamOptions{WithoutBackpressure: true})
			<-ctx.Done()
			_, waited = d.Wait(context.WithoutCancel(ctx))
			return ctx.Err()
		})
		overran(t, err, p.child, p.parent, true)
		same(t, "C23: Wait", waited, err)
	})
}

func TestM08_SenderThatHasToWaitIsWarnedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			stream(t, d)
			return waits(ctx, d)
		}))
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			synctest.Wait()
			before := p.parentWarns.n.Load()
			senders := [2]*attempt{}
			for i := range senders {
				senders[i] = beside(func() error { _, err := flood(ctx, s); return err })
			}
			synctest.Wait()
			if n := p.parentWarns.n.Load() - before; n != 0 {
				t.Errorf("%d warnings of ordinary backpressure, want none", n)
			}
			time.Sleep(time.Minute)
			if n := p.parentWarns.n.Load() - before; n != 1 {
				t.Errorf("%d warnings of a stream that has come to a halt, want one", n)
			}
			err := d.Cancel(ctx, "enough")
			return errors.Join(err, senders[0].wait(), senders[1].wait())
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestM09_OverrunsAreKeptUpToTheirBound(t *testing.T) {
	const message, window, keep = 1 << 10, 64, 100 << 10
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			s := stream(t, d, dialog.StreamOptions{Window: dialog.Window{Bytes: window * message}, AllowOverruns: keep})
			<-ctx.Done()
			n := 0
			for ; ; n++ {
				if _, err := s.Recv(ctx); err != nil {
					break
				}
			}
			if n <= window || n > (window*message+keep)/message+1 {
				t.Errorf("%d messages were kept", n)
			}
			return nil, ctx.Err()
		}), func(s *setup) { s.window.Bytes = window * message })
		before := p.childWarns.n.Load()
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			synctest.Wait()
			payload := make([]byte, message)
			for i := range window + 50 {
				if err := s.Send(ctx, payload); err != nil {
					t.Fatalf("message %d, which is to be kept: %v", i, err)
				}
			}
			synctest.Wait()
			if n := p.childWarns.n.Load() - before; n != 1 {
				t.Errorf("%d warnings of messages beyond the window, want one", n)
			}
			for {
				if err := s.Send(ctx, payload); err != nil {
					return err
				}
			}
		})
		if o, ok := errors.AsType[*fault.StreamOverrun](err); !ok || !o.Opened || !o.Receiver.Is(p.child.Self()) {
			t.Errorf("past the bound: %v", err)
		}
	})
}

func TestM17_SendToAnEndThatHasNotOpenedIsWarnedOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(waits))
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			before := p.parentWarns.n.Load()
			for range 10 {
				if err := s.Send(ctx, nil); err != nil {
					return err
				}
			}
			if n := p.parentWarns.n.Load() - before; n != 0 {
				t.Errorf("%d warnings of an end that may be about to open, want none", n)
			}
			time.Sleep(time.Minute)
			if n := p.parentWarns.n.Load() - before; n != 1 {
				t.Errorf("%d warnings, want one", n)
			}
			return d.Cancel(ctx, "enough")
		})
		if err != nil {
			t.Error(err)
		}
	})
}
