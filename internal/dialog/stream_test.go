package dialog_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// echoStream is a callee that sends back what it receives.
func echoStream(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
	if err := d.Started(nil); err != nil {
		return nil, err
	}
	s, err := d.OpenStream(dialog.StreamOptions{})
	if err != nil {
		return nil, err
	}
	for {
		m, err := s.Recv(ctx)
		if errors.Is(err, io.EOF) {
			return []byte("done"), nil
		}
		if err == nil {
			err = s.Send(ctx, m)
		}
		if err != nil {
			return nil, err
		}
	}
}

// meet returns when the other end, an echo, is open.
func meet(ctx context.Context, t *testing.T, s *dialog.Stream) {
	t.Helper()
	if err := s.Send(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestM01_StreamOpensOnceAndWaitsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var opened *dialog.Stream
		twice := func(d *dialog.Dialog) {
			began := time.Now()
			opened = stream(t, d)
			within(t, began, 0)
			for range 2 {
				if _, err := d.OpenStream(dialog.StreamOptions{}); !errors.Is(err, fault.ErrStreamClosed) {
					t.Errorf("opening again: %v", err)
				}
				opened.Close() // M14: a closed stream does not reopen
			}
		}
		p := newPair(t, started(func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
			twice(d)
			time.Sleep(time.Second)
			return nil, nil
		}))
		err := open(t.Context(), p.parent, func(_ context.Context, d *dialog.Dialog) error {
			time.Sleep(time.Minute) // the callee is gone
			twice(d)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		_, err = opened.Recv(t.Context())
		same(t, "M14: Recv after the scope", err, fault.ErrStreamClosed)
		same(t, "M14: Send after the scope", opened.Send(t.Context(), nil), fault.ErrStreamClosed)
	})
}

func TestM02_OrderIsKeptAndNothingIsLost(t *testing.T) {
	p := newPair(t, tasks{"task": echoStream})
	const messages = 2000
	err := open(t.Context(), p.child, func(ctx context.Context, d *dialog.Dialog) error {
		s := stream(t, d)
		meet(ctx, t, s)
		d.Go(func(ctx context.Context) error {
			defer s.CloseSend()
			for i := range messages {
				payload := binary.BigEndian.AppendUint32(nil, uint32(i))
				if i%100 == 0 { // large ones go in pieces
					payload = append(payload, make([]byte, 300<<10)...)
				}
				if err := s.Send(ctx, payload); err != nil {
					return err
				}
			}
			return nil
		})
		for i := range messages {
			m, err := s.Recv(ctx)
			if err != nil || binary.BigEndian.Uint32(m) != uint32(i) {
				return fmt.Errorf("message %d: %d bytes, %w", i, len(m), err)
			}
		}
		_, err := s.Recv(ctx)
		same(t, "M03: at the end", err, io.EOF)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestM03_OtherSideMayGoOnAfterAClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			s := stream(t, d)
			n := 0
			for ; ; n++ {
				if _, err := s.Recv(ctx); err != nil {
					same(t, "the end of the loop", err, io.EOF)
					break
				}
			}
			for range 10 * n {
				if err := s.Send(ctx, []byte("x")); err != nil {
					return nil, err
				}
			}
			return nil, nil // leaving the scope closes it
		}))
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			for range 10 {
				if err := s.Send(ctx, []byte("x")); err != nil {
					return err
				}
			}
			s.CloseSend()
			same(t, "a send after it", s.Send(ctx, nil), fault.ErrStreamClosed)
			for range 100 {
				if _, err := s.Recv(ctx); err != nil {
					return err
				}
			}
			_, err := s.Recv(ctx)
			return ignoreEOF(err)
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// What was sent before the end is received before it, in order; the ctx is
// cancelled at once all the same.
func TestM04_MessagesBeforeTheEndAreReceivedFirst(t *testing.T) {
	large := make([]byte, 200<<10)
	for name, end := range map[string]func(*dialog.Stream) error{
		"error":  func(*dialog.Stream) error { return errBoom },
		"close":  func(s *dialog.Stream) error { s.CloseSend(); return nil },
		"return": func(*dialog.Stream) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
					s := stream(t, d)
					for i := range 15 {
						if err := s.Send(ctx, append([]byte{byte(i)}, large...)); err != nil {
							return nil, err
						}
					}
					return nil, end(s)
				}))
				err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
					s := stream(t, d)
					if name == "error" {
						<-ctx.Done() // C08: at once, though nothing was received
					}
					for i := range 15 {
						m, err := s.Recv(ctx)
						if err != nil || m[0] != byte(i) {
							t.Fatalf("message %d: %d bytes, %v", i, len(m), err)
						}
					}
					_, err := s.Recv(ctx)
					if name == "error" {
						same(t, "C23: Recv", err, context.Cause(ctx))
						return err
					}
					same(t, "Recv", err, io.EOF)
					return nil
				})
				if want := name == "error"; want != errors.Is(err, errBoom) {
					t.Errorf("the scope: %v", err)
				}
			})
		})
	}
}

func TestM11_BlockedSendReturns(t *testing.T) {
	type world struct {
		p      *pair
		s      *dialog.Stream
		d      *dialog.Dialog
		cancel context.CancelFunc // of the Send's own ctx
	}
	for name, c := range map[string]struct {
		callee func(ctx context.Context, s *dialog.Stream) error // a second after the start
		here   func(w world)
		want   error
	}{
		"on room": {func(ctx context.Context, s *dialog.Stream) error {
			for range dialog.DefaultMessages / 2 {
				if _, err := s.Recv(ctx); err != nil {
					return err
				}
			}
			<-ctx.Done()
			return ctx.Err()
		}, nil, nil},
		"on the peer's close":  {func(ctx context.Context, s *dialog.Stream) error { s.Close(); <-ctx.Done(); return ctx.Err() }, nil, nil},
		"on the peer's return": {func(context.Context, *dialog.Stream) error { return nil }, nil, nil},
		"on the peer's error":  {func(context.Context, *dialog.Stream) error { return errBoom }, nil, errBoom},
		"on its own ctx":       {nil, func(w world) { w.cancel() }, context.Canceled},
		"on a close here":      {nil, func(w world) { w.s.CloseSend() }, fault.ErrStreamClosed},
		"on a cancel":          {nil, func(w world) { _ = w.d.Cancel(context.Background(), "") }, context.Canceled},
		"on the link's death":  {nil, func(w world) { w.p.parent.Link().Abort(errBoom) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
					s := stream(t, d)
					time.Sleep(time.Second)
					if c.callee != nil {
						return nil, c.callee(ctx, s)
					}
					return waits(ctx, d)
				}))
				_ = open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
					s := stream(t, d)
					own, cancel := context.WithCancel(ctx)
					defer cancel()
					synctest.Wait() // the callee's end is open
					for range dialog.DefaultMessages {
						if err := s.Send(own, []byte("x")); err != nil {
							t.Fatal(err)
						}
					}
					blocked := beside(func() error { return s.Send(own, []byte("x")) })
					if blocked.over() {
						t.Fatalf("not blocked: %v", blocked.err)
					}
					if c.here != nil {
						time.Sleep(time.Second)
						c.here(world{p, s, d, cancel})
					}
					err := blocked.wait()
					if blocked.took != time.Second {
						t.Errorf("it returned after %v, want 1s", blocked.took)
					}
					if _, lost := errors.AsType[*fault.LinkLost](err); lost && name == "on the link's death" {
						return nil
					}
					if !errors.Is(err, c.want) {
						t.Errorf("got %v, want %v", err, c.want)
					}
					return d.Cancel(context.WithoutCancel(ctx), "enough")
				})
			})
		})
	}
}

func TestM13_MessageUpToTheLimit(t *testing.T) {
	const limit = 1 << 20
	p := newPair(t, tasks{"task": echoStream}, func(s *setup) { s.maxMessage = limit })
	err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
		s := stream(t, d)
		for _, size := range []int{0, 1, 128 << 10, 128<<10 + 1, limit - 1, limit + 1, limit} {
			want := bytes.Repeat([]byte{byte(size)}, size)
			err := s.Send(ctx, want)
			if size > limit {
				if !errors.Is(err, fault.ErrMessageTooLarge) {
					t.Errorf("%d bytes: %v", size, err)
				}
				continue // only that send fails
			}
			got, recvErr := s.Recv(ctx)
			if err != nil || recvErr != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes: %v, %v", size, err, recvErr)
			}
		}
		if err := s.Send(ctx, nil); err != nil {
			return err
		}
		got, err := s.Recv(ctx)
		if len(got) != 0 {
			t.Errorf("nil arrived as %q", got)
		}
		s.CloseSend()
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, kind := range []dialog.Kind{dialog.Func, dialog.Context} {
		if _, err := p.parent.Call(t.Context(), &dialog.Request{Endpoint: "task", Kind: kind, Args: make([]byte, limit+1)}); !errors.Is(err, fault.ErrMessageTooLarge) {
			t.Errorf("arguments: %v", err)
		}
	}
}

func TestM13_ResultOverTheLimitIsAnError(t *testing.T) {
	p := newPair(t, tasks{"task": func(context.Context, *dialog.Dialog) ([]byte, error) {
		return make([]byte, 1<<20+1), nil
	}}, func(s *setup) { s.maxMessage = 1 << 20 })
	if _, err := call(t.Context(), p.parent, ""); !errors.Is(err, fault.ErrMessageTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestM13_DefaultLimitIs64MiB(t *testing.T) {
	p := newPair(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) { return d.Args(), nil }})
	args := make([]byte, link.DefaultMaxMessage)
	got, err := p.parent.Call(t.Context(), &dialog.Request{Endpoint: "task", Kind: dialog.Func, Args: args})
	if err != nil || len(got) != 64<<20 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestM15_StreamIsSafeFromManyGoroutines(t *testing.T) {
	for range 20 {
		var received atomic.Int64
		p := newPair(t, tasks{"task": echoStream})
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			meet(ctx, t, s)
			var sent atomic.Int64
			for range 4 {
				d.Go(func(ctx context.Context) error {
					for range 200 {
						if err := s.Send(ctx, []byte("x")); errors.Is(err, fault.ErrStreamClosed) {
							return nil
						} else if err != nil {
							return err
						}
						if sent.Add(1) == 500 {
							s.CloseSend() // while others send
						}
					}
					return nil
				})
				d.Go(func(ctx context.Context) error {
					for {
						if _, err := s.Recv(ctx); err != nil {
							return ignoreEOF(err)
						}
						received.Add(1)
					}
				})
			}
			_, err := d.Wait(ctx)
			return err
		})
		if n := received.Load(); err != nil || n < 500 {
			t.Fatalf("%d messages came back; %v", n, err)
		}
	}
}

func TestM15_CloseBesideSendAndRecv(t *testing.T) {
	for range 50 {
		p := newPair(t, tasks{"task": echoStream})
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			meet(ctx, t, s)
			var group task.Group
			group.Go(func() { _, _ = flood(ctx, s) })
			group.Go(func() { s.Close() })
			group.Go(func() {
				for {
					if _, err := s.Recv(ctx); err != nil {
						return
					}
				}
			})
			group.Close()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestM16_CancelledRecvLosesNoMessage(t *testing.T) {
	const messages = 500
	p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
		s := stream(t, d)
		if _, err := s.Recv(ctx); err != nil { // the opener's end is open
			return nil, err
		}
		for i := range messages {
			if err := s.Send(ctx, binary.BigEndian.AppendUint32(nil, uint32(i))); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}))
	abandoned := 0
	err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
		s := stream(t, d)
		if err := s.Send(ctx, nil); err != nil {
			return err
		}
		for next := uint32(0); ; {
			short, cancel := context.WithCancel(ctx)
			worker := task.Start(cancel) // meets the Recv at any point
			m, err := s.Recv(short)
			worker.Wait()
			switch {
			case err == nil && binary.BigEndian.Uint32(m) == next:
				next++
			case errors.Is(err, io.EOF) && next == messages:
				return nil
			case errors.Is(err, context.Canceled) && ctx.Err() == nil:
				abandoned++
			default:
				return fmt.Errorf("after %d messages: %x, %w", next, m, err)
			}
		}
	})
	if err != nil {
		t.Errorf("after %d abandoned Recvs: %v", abandoned, err)
	}
}

// A stream that somebody still holds when its scope has ended does not wait for
// what was under way when the peer failed.
func TestM14_RecvAfterAScopeThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			s := stream(t, d)
			time.Sleep(time.Second) // the opener's end is open
			for range 20 {
				if err := s.Send(ctx, make([]byte, 200<<10)); err != nil {
					return nil, err
				}
			}
			return nil, errBoom
		}))
		var s *dialog.Stream
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s = stream(t, d)
			<-ctx.Done()
			return nil // at once: messages are still on their way
		})
		_, got := s.Recv(context.Background())
		same(t, "Recv", got, err)
	})
}

// A stream serves once: closed in any way, before or after its peer, it never
// opens again, at either side; the next context has one of its own.
func TestM14_ClosedStreamNeverReopens(t *testing.T) {
	reopen := func(t *testing.T, d *dialog.Dialog) {
		t.Helper()
		if _, err := d.OpenStream(dialog.StreamOptions{}); !errors.Is(err, fault.ErrStreamClosed) {
			t.Errorf("OpenStream on a closed stream: %v", err)
		}
	}
	p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
		s := stream(t, d)
		if _, err := s.Recv(ctx); !errors.Is(err, io.EOF) {
			t.Errorf("after the opener's close: %v", err)
		}
		s.CloseSend()
		reopen(t, d)
		s.Close()
		reopen(t, d)
		return []byte("value"), nil
	}))
	for range 3 {
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			s.Close()
			reopen(t, d)
			v, err := d.Wait(ctx)
			if string(v) != "value" {
				t.Errorf("the result: %q, %v", v, err)
			}
			reopen(t, d)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
