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
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// flood sends until it fails, and gives the number of messages that went.
func flood(ctx context.Context, s *dialog.Stream) (n int, err error) {
	for {
		if err := s.Send(ctx, []byte("x")); err != nil {
			return n, err
		}
		n++
	}
}

// overran asserts the story of an overrun: who sent, who received, and whether
// the receiver had opened its end.
func overran(t *testing.T, err error, sender, receiver *dialog.Table, opened bool) {
	t.Helper()
	overranWith(t, err, sender, receiver, opened, dialog.DefaultMessages)
}

func overranWith(t *testing.T, err error, sender, receiver *dialog.Table, opened bool, window int) {
	t.Helper()
	o, ok := errors.AsType[*fault.StreamOverrun](err)
	if !ok {
		t.Fatalf("got %v, want a StreamOverrun", err)
	}
	if !o.Sender.Is(sender.Self()) || !o.Receiver.Is(receiver.Self()) || o.Opened != opened || o.Window != window {
		t.Errorf("got %+v", o)
	}
	if !strings.Contains(err.Error(), receiver.Self().String()) {
		t.Errorf("the text does not name the receiver: %v", err)
	}
	if says := strings.Contains(err.Error(), "has not opened a stream") && strings.Contains(err.Error(), "may not be ready"); says == opened {
		t.Errorf("the text is the wrong one: %v", err)
	}
}

func TestM07_SendToACalleeThatHasNotOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var atCallee error
		p := newPair(t, started(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
			<-ctx.Done()
			atCallee = context.Cause(ctx)
			return nil, ctx.Err()
		}))
		began := time.Now()
		var sent error
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) (err error) {
			n, err := flood(ctx, stream(t, d))
			if n != dialog.DefaultMessages {
				t.Errorf("%d sends succeeded, want exactly %d", n, dialog.DefaultMessages)
			}
			sent = err
			<-ctx.Done()
			same(t, "C23: the ctx's cause", context.Cause(ctx), sent)
			return err
		})
		within(t, began, dialog.DefaultReadyTimeout)
		same(t, "C23: the scope", err, sent)
		overran(t, err, p.parent, p.child, false)
		overran(t, atCallee, p.parent, p.child, false)
	})
}

func TestM07_SendToAnOpenerThatHasNotOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var atCallee error
		p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			n, err := flood(ctx, stream(t, d))
			if n != dialog.DefaultMessages {
				t.Errorf("%d sends succeeded, want exactly %d", n, dialog.DefaultMessages)
			}
			atCallee = err
			<-ctx.Done()
			same(t, "C23: the callee's cause", context.Cause(ctx), err)
			return nil, fmt.Errorf("sending: %w", err)
		}))
		began := time.Now()
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			<-ctx.Done()
			within(t, began, dialog.DefaultReadyTimeout)
			_, waited := d.Wait(context.WithoutCancel(ctx))
			same(t, "C23: Wait", waited, context.Cause(ctx))
			return ctx.Err()
		})
		overran(t, err, p.child, p.parent, false)
		overran(t, atCallee, p.child, p.parent, false)
	})
}

// The verdict is the receiver's: it opens while the message beyond the window is
// on its way, or before, and nothing fails.
func TestM07_PeerThatOpensInTimeIsNotOverrun(t *testing.T) {
	for _, opensAfter := range []int{0, 1, 62, 63} {
		t.Run(fmt.Sprint(opensAfter), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
					<-gate
					s := stream(t, d)
					time.Sleep(time.Hour) // opened is enough; it need not read
					for i := range 200 {
						if m, err := s.Recv(ctx); string(m) != fmt.Sprint(i) {
							t.Fatalf("message %d: %q, %v", i, m, err)
						}
					}
					return nil, nil
				}))
				err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
					s := stream(t, d)
					for i := range 200 {
						if i == opensAfter {
							close(gate) // no waiting: it opens as the sender goes on
						}
						if err := s.Send(ctx, []byte(fmt.Sprint(i))); err != nil {
							t.Fatalf("send %d: %v", i, err)
						}
						if i <= opensAfter {
							synctest.Wait()
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The receiver has opened, and the sender does not know it yet when it sends the
// message beyond the window: that is kept, and the next one waits for credit.
func TestM07_MessageBeyondTheWindowIsKeptByAnOpenEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		r := newRaw(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			s := stream(t, d)
			<-gate
			for i := range dialog.DefaultMessages + 1 {
				if m, err := s.Recv(ctx); string(m) != fmt.Sprint(i) {
					return nil, fmt.Errorf("message %d: %q, %w", i, m, err)
				}
			}
			return nil, nil
		}))
		r.send(start(1, dialog.Context))
		r.send(burst(1)...)
		close(gate)
		if len(r.got(wire.Kind_KIND_FAIL, 1)) != 0 || len(r.got(wire.Kind_KIND_RETURN, 1)) != 1 || r.warns.n.Load() != 0 {
			t.Error("the message beyond the window was not kept")
		}
	})
}

// The same at the sender: it asks once, and what comes back decides.
func TestM07_VerdictIsTheReceivers(t *testing.T) {
	for _, opens := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRaw(t, nil)
			overrun := &fault.StreamOverrun{Sender: r.table.Self(), Receiver: peerOf(r), Window: dialog.DefaultMessages}
			scope := beside(func() error {
				return open(t.Context(), r.table, func(ctx context.Context, d *dialog.Dialog) error {
					n, err := flood(ctx, stream(t, d))
					if want := map[bool]int{true: dialog.DefaultMessages + 1, false: dialog.DefaultMessages}[opens]; n != want {
						t.Errorf("%d sends succeeded, want %d", n, want)
					}
					return err
				})
			})
			synctest.Wait()
			r.send(frame(2, wire.Kind_KIND_STARTED))
			sent := r.got(wire.Kind_KIND_YIELD, 2)
			if len(sent) != dialog.DefaultMessages+1 || !sent[dialog.DefaultMessages].Probe || sent[dialog.DefaultMessages-1].Probe {
				t.Fatalf("%d messages went out", len(sent))
			}
			time.Sleep(time.Hour) // the sender waits for the verdict, however long it takes
			if opens {
				r.send(frame(2, wire.Kind_KIND_ATTACH))
				if n := len(r.got(wire.Kind_KIND_YIELD, 2)); n != dialog.DefaultMessages+1 {
					t.Errorf("%d messages without credit", n)
				}
			}
			r.send(ending(2, wire.Kind_KIND_FAIL, overrun, overrun.Receiver))
			r.send(ending(2, wire.Kind_KIND_ERROR, overrun, overrun.Receiver))
			if _, ok := errors.AsType[*fault.StreamOverrun](scope.wait()); !ok {
				t.Errorf("the scope: %v", scope.err)
			}
		})
	}
}

func TestM05_BufferIsSetPerActorContextAndStream(t *testing.T) {
	const perActor, perContext, perStream = 3, 7, 11
	for name, c := range map[string]struct {
		request dialog.Request
		stream  dialog.StreamOptions
		want    int
	}{
		"actor":   {want: perActor},
		"context": {request: dialog.Request{Window: dialog.Window{Messages: perContext}}, want: perContext},
		"stream":  {stream: dialog.StreamOptions{Window: dialog.Window{Messages: perStream}}, want: perStream},
		"smaller": {stream: dialog.StreamOptions{Window: dialog.Window{Messages: 1}}, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
					s := stream(t, d)
					time.Sleep(time.Second) // the opener's end is open
					n, err := flood(ctx, s)
					sent = n
					return nil, err
				}), func(s *setup) { s.window.Messages = perActor })
				c.request.Endpoint, c.request.Kind = "task", dialog.Context
				err := p.parent.Scope(t.Context(), &c.request, func(ctx context.Context, d *dialog.Dialog) error {
					stream(t, d, c.stream)
					time.Sleep(2 * time.Second)
					return d.Cancel(ctx, "enough")
				})
				if err != nil || sent != c.want {
					t.Errorf("%d messages found room, want %d; %v", sent, c.want, err)
				}
			})
		})
	}
}

func TestM05_ByteBoundOfTheDefaultBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			stream(t, d)
			return waits(ctx, d)
		}))
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			synctest.Wait()
			for i := range 4 {
				if err := s.Send(ctx, make([]byte, 1<<20)); err != nil {
					t.Fatalf("MiB %d: %v", i, err)
				}
			}
			if blocked := beside(func() error { return s.Send(ctx, []byte("x")) }); blocked.over() {
				t.Errorf("a message beyond 4 MiB: %v", blocked.err)
			}
			return d.Cancel(ctx, "enough")
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// Both ends are open: the sender blocks, nothing is dropped, and neither another
// context on the link nor a cancel waits for it.
func TestM06_BackpressureBlocksTheSenderAndNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		served := started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			s := stream(t, d)
			<-gate
			for i := range 4 * dialog.DefaultMessages {
				if m, err := s.Recv(ctx); string(m) != fmt.Sprint(i) {
					return nil, fmt.Errorf("message %d: %q, %w", i, m, err)
				}
			}
			return nil, nil
		})
		served["echo"] = echoStream
		p := newPair(t, served)
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			synctest.Wait() // the callee's end is open
			sent := 0
			sender := beside(func() error {
				for ; sent < 4*dialog.DefaultMessages; sent++ {
					if err := s.Send(ctx, []byte(fmt.Sprint(sent))); err != nil {
						return err
					}
				}
				return nil
			})
			if sender.over() || sent != dialog.DefaultMessages {
				t.Errorf("%d messages found room; the sender is at its end: %t", sent, sender.over())
			}
			began := time.Now()
			if err := neighbour(ctx, t, p); err != nil {
				t.Errorf("another context on the link: %v", err)
			}
			within(t, began, 0)
			close(gate)
			return sender.wait()
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// neighbour runs a context of 1000 messages there and back, and cancels another.
func neighbour(ctx context.Context, t *testing.T, p *pair) error {
	return p.parent.Scope(ctx, &dialog.Request{Endpoint: "echo", Kind: dialog.Context}, func(ctx context.Context, d *dialog.Dialog) error {
		s := stream(t, d)
		for range 1000 {
			if err := s.Send(ctx, []byte("x")); err != nil {
				return err
			}
			if _, err := s.Recv(ctx); err != nil {
				return err
			}
		}
		return d.Cancel(ctx, "enough")
	})
}

func TestM06_CancelPassesASaturatedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			s := stream(t, d)
			time.Sleep(time.Second) // both ends are open
			_, err := flood(ctx, s)
			return nil, err
		}))
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			time.Sleep(2 * time.Second)
			sender := beside(func() error { _, err := flood(ctx, s); return err })
			if sender.over() {
				t.Errorf("the sender did not block: %v", sender.err)
			}
			began := time.Now()
			err := d.Cancel(ctx, "enough")
			within(t, began, 0)
			return errors.Join(err, sender.wait())
		})
		if err != nil {
			t.Error(err)
		}
	})
}
