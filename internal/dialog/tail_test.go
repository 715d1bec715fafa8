package dialog_test

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// reads is a task that opens its stream and, once it may, reads it to the end.
func reads(t *testing.T, o dialog.StreamOptions, may <-chan struct{}, read *int) body {
	return func(ctx context.Context, d *dialog.Dialog) error {
		s := stream(t, d, o)
		<-may
		for {
			if _, err := s.Recv(ctx); err != nil {
				return err
			}
			*read++
		}
	}
}

// failed is a callee's failure after a number of messages.
func failed(r *raw, yields uint64) *wire.Frame {
	f := ending(2, wire.Kind_KIND_ERROR, errBoom, peerOf(r))
	f.Yields = yields
	return f
}

// After an overrun nothing is kept any more, so that a reader waits for nothing that the
// sender may have sent before it failed in turn.
func TestM08_ReaderEndsAfterAnOverrun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, nil)
		may, read := make(chan struct{}), 0
		scope := beside(func() error {
			return open(t.Context(), r.table, reads(t, dialog.StreamOptions{WithoutBackpressure: true}, may, &read))
		})
		synctest.Wait()
		r.send(frame(2, wire.Kind_KIND_STARTED))
		r.send(repeat(dialog.DefaultMessages+1, yield(2, "x"))...)
		r.send(failed(r, dialog.DefaultMessages+3))
		close(may)
		synctest.Wait()
		r.send(repeat(2, yield(2, "late"))...)
		if !scope.over() {
			t.Error("the scope has not ended")
			r.end.Abort()
		}
		if _, ok := errors.AsType[*fault.StreamOverrun](scope.wait()); !ok {
			t.Errorf("the scope: %v", scope.err)
		}
		if read != dialog.DefaultMessages {
			t.Errorf("%d messages were read, want those that had room: %d", read, dialog.DefaultMessages)
		}
	})
}

// R8: a failure that counts messages which never come is a violation, once a Stop says
// that no more do. The reader gets what has come, and then the failure.
func TestR8_AFailureThatCountsTooManyMessages(t *testing.T) {
	for name, order := range map[string][]wire.Kind{
		"the failure comes first": {wire.Kind_KIND_ERROR, wire.Kind_KIND_STOP},
		"the failure comes last":  {wire.Kind_KIND_STOP, wire.Kind_KIND_ERROR},
		"two failures":            {wire.Kind_KIND_FAIL, wire.Kind_KIND_STOP, wire.Kind_KIND_ERROR},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRaw(t, nil)
				may, read := make(chan struct{}), 0
				close(may)
				scope := beside(func() error { return open(t.Context(), r.table, reads(t, dialog.StreamOptions{}, may, &read)) })
				synctest.Wait()
				r.send(frame(2, wire.Kind_KIND_STARTED), yield(2, "x"))
				failures, fail := int64(0), failed(r, 5)
				for _, kind := range order {
					if kind == wire.Kind_KIND_STOP {
						r.send(frame(2, kind))
						continue
					}
					failures++
					r.send(&wire.Frame{Dialog: 2, Kind: kind, Fault: fail.Fault, Yields: fail.Yields})
				}
				if !scope.over() {
					t.Error("the scope waits for messages that do not come")
					r.end.Abort()
				}
				if err := scope.wait(); !errors.Is(err, errBoom) || read != 1 {
					t.Errorf("the scope: %v, after %d messages", err, read)
				}
				if n := r.warns.n.Load(); n != failures {
					t.Errorf("%d violations, want %d", n, failures)
				}
			})
		})
	}
}

// R8: who fails says with a Stop, behind all messages, that there are no more of them.
func TestR8_AStopFollowsTheMessagesOfAFailure(t *testing.T) {
	for name, c := range map[string]struct{ messages, stops int }{"none were sent": {0, 0}, "some were sent": {3, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRaw(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
					s := stream(t, d, dialog.StreamOptions{})
					for range c.messages {
						if err := s.Send(ctx, []byte("x")); err != nil {
							t.Error(err)
						}
					}
					return nil, errBoom
				}))
				r.send(start(1, dialog.Context))
				ends := r.got(wire.Kind_KIND_ERROR, 1)
				if len(ends) != 1 || ends[0].Yields != uint64(c.messages) {
					t.Errorf("the ending: %v", ends)
				}
				if n := len(r.got(wire.Kind_KIND_STOP, 1)); n != c.stops {
					t.Errorf("%d stops, want %d", n, c.stops)
				}
			})
		})
	}
}

// A callee that fails, and says that it had sent messages which never come, holds up its
// opener for as long as that wants to wait, and no longer.
func TestOpenerDoesNotWaitForMessagesWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, nil)
		may, read := make(chan struct{}), 0
		close(may)
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		scope := beside(func() error { return open(ctx, r.table, reads(t, dialog.StreamOptions{}, may, &read)) })
		synctest.Wait()
		r.send(frame(2, wire.Kind_KIND_STARTED), yield(2, "x"))
		r.send(failed(r, 100))
		if scope.over() {
			t.Error("it did not wait for what was sent before the failure")
		}
		time.Sleep(time.Second)
		if !scope.over() {
			t.Error("the scope goes on after its ctx")
			r.end.Abort()
		}
		if err := scope.wait(); !errors.Is(err, errBoom) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the scope: %v", err)
		}
		if read != 1 {
			t.Errorf("%d messages were read", read)
		}
	})
}

// A request that a peer would not take is refused before it costs the link.
func TestRequestIsBounded(t *testing.T) {
	p := newPair(t, tasks{"task": func(context.Context, *dialog.Dialog) ([]byte, error) { return nil, nil }})
	many := map[string]string{}
	for i := range wire.MostMetadata {
		many[strconv.Itoa(i)] = ""
	}
	tooMany := maps.Clone(many)
	tooMany["more"] = ""
	for name, c := range map[string]struct {
		metadata map[string]string
		want     string
	}{
		"much": {map[string]string{"key": strings.Repeat("x", 1<<20)}, "1048583 bytes of texts"}, "many": {tooMany, "4097 entries of metadata"},
		"none": {nil, ""}, "some": {map[string]string{"key": strings.Repeat("x", 1<<19)}, ""}, "as many as may be": {many, ""},
	} {
		_, err := p.parent.Call(t.Context(), &dialog.Request{Endpoint: "task", Kind: dialog.Func, Metadata: c.metadata})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A reason for a cancel may be any text: what a frame does not carry is cut off.
func TestCancelReasonIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := ""
		p := newPair(t, started(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
			<-ctx.Done()
			c, _ := fault.Cancelled(context.Cause(ctx))
			got = c.Reason
			return nil, ctx.Err()
		}))
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			return d.Cancel(ctx, strings.Repeat("because ", 2<<20))
		})
		if err != nil {
			t.Error(err)
		}
		if len(got) > 32<<10 || !strings.HasPrefix(got, "because ") || !strings.HasSuffix(got, "bytes more)") {
			t.Errorf("the reason came as %d bytes", len(got))
		}
	})
}

// dammed is a transport that takes nothing until it is opened.
type dammed struct {
	link.Transport
	open atomic.Pointer[chan struct{}] // nil while it takes all
}

func (d *dammed) Send(b wire.Batch) error {
	if open := d.open.Load(); open != nil {
		<-*open
	}
	return d.Transport.Send(b)
}

// A sender that needs no credit waits for its own connection all the same: a peer that
// was stopped does not fill its memory.
func TestM09_SenderWithoutCreditWaitsForTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent, received := 0, 0
		const all, half, size = 40, 20, 1 << 20
		goOn := make(chan struct{})
		flows := started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			s := stream(t, d)
			for sent < all {
				if sent%half == 0 {
					<-goOn
				}
				if err := s.Send(ctx, make([]byte, size)); err != nil {
					return nil, err
				}
				sent++
			}
			return nil, nil
		})
		dam := &dammed{}
		p := newPair(t, flows, func(s *setup) {
			s.between = func(a, b link.Transport) (link.Transport, link.Transport) {
				dam.Transport = b
				return a, dam
			}
		})
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d, dialog.StreamOptions{AllowOverruns: all * size})
			for range 2 {
				synctest.Wait() // all has come
				gate := make(chan struct{})
				dam.open.Store(&gate)
				goOn <- struct{}{}
				synctest.Wait()
				if ahead := sent - received; ahead < 8 || ahead > 12 {
					t.Errorf("%d MiB were sent while the connection takes nothing, want about 8", ahead)
				}
				dam.open.Store(nil)
				close(gate)
				for range half {
					if _, err := s.Recv(ctx); err != nil {
						return err
					}
					received++
				}
			}
			return nil
		})
		if err != nil || received != all {
			t.Errorf("%v: %d messages came of %d", err, received, all)
		}
	})
}
