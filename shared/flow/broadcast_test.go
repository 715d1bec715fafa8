package flow_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/flow"
)

type none = struct{}

var ticks = contract.Context[int, none, none, int, none]("ticks")

// tick sends n numbers, once the opener has said that it listens, and ends
// well.
func tick(ctx context.Context, n int, c *contract.Callee[none, none, int]) (none, error) {
	if err := c.Started(none{}); err != nil {
		return none{}, err
	}
	s, err := c.Stream(contract.StreamOptions{})
	if err == nil {
		_, err = s.Recv(ctx)
	}
	for i := 0; i < n && err == nil; i++ {
		err = s.Send(ctx, i)
	}
	return none{}, err
}

// broadcast opens a stream of n numbers and hands it to body as a broadcast.
func broadcast(t *testing.T, n int, body func(ctx context.Context, b *flow.Broadcast[int])) {
	t.Helper()
	p := pair.Serve(t, ticks.Handle(tick))
	_, err := ticks.Open(t.Context(), p, n, func(ctx context.Context, c *contract.Opener[none, none, int, none]) error {
		s, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		if err := s.Send(ctx, none{}); err != nil {
			return err
		}
		body(ctx, flow.NewBroadcast(s))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestM12_EverySubscriberGetsEveryMessage(t *testing.T) {
	broadcast(t, 1000, func(ctx context.Context, b *flow.Broadcast[int]) {
		var subs []*flow.Subscription[int] // all of them before the first message
		for range 5 {
			subs = append(subs, b.Subscribe(1000))
		}
		var group task.Group
		for _, sub := range subs {
			group.Go(func() {
				defer sub.Close()
				want := 0
				for m, err := range sub.All(ctx) {
					if err != nil || m != want {
						t.Errorf("got %d, %v; want %d", m, err, want)
						return
					}
					want++
				}
				if want != 1000 {
					t.Errorf("%d messages", want)
				}
			})
		}
		group.Close()
	})
}

func TestM12_OnlyTheSlowOneLagsAndOnce(t *testing.T) {
	broadcast(t, 100, func(ctx context.Context, b *flow.Broadcast[int]) {
		slow, fast := b.Subscribe(10), b.Subscribe(10)
		for want := range 100 {
			if m, err := fast.Recv(ctx); m != want || err != nil {
				t.Fatalf("the fast one got %d, %v; want %d", m, err, want)
			}
		}
		_, err := slow.Recv(ctx)
		if lagged, ok := errors.AsType[*fault.Lagged](err); !ok || lagged.Missed != 90 {
			t.Fatalf("the slow one got %v, want Lagged{90}", err)
		}
		for want := 90; want < 100; want++ {
			if m, err := slow.Recv(ctx); m != want || err != nil {
				t.Fatalf("afterwards %d, %v; want %d", m, err, want)
			}
		}
		for _, sub := range []*flow.Subscription[int]{slow, fast} {
			if _, err := sub.Recv(ctx); !errors.Is(err, io.EOF) {
				t.Errorf("at the end: %v", err)
			}
			sub.Close()
		}
	})
}

func TestM16_CancelledLeaderLosesNothing(t *testing.T) {
	broadcast(t, 1, func(ctx context.Context, b *flow.Broadcast[int]) {
		a, c := b.Subscribe(0), b.Subscribe(0)
		defer a.Close()
		defer c.Close()
		cancelled, cancel := context.WithCancelCause(ctx)
		cancel(errUser)
		if m, err := a.Recv(cancelled); err != nil && !errors.Is(err, errUser) || err == nil && m != 0 {
			t.Fatalf("got %d, %v", m, err)
		} else if err != nil {
			if m, err := a.Recv(ctx); m != 0 || err != nil {
				t.Errorf("the cancelled one then got %d, %v", m, err)
			}
		}
		if m, err := c.Recv(ctx); m != 0 || err != nil {
			t.Errorf("the other one got %d, %v", m, err)
		}
	})
}

var errUser = errors.New("the user's own")

// T5 · M14: a subscription that is closed receives nothing more, neither what it has missed nor
// for the others.
func TestM14_ClosedSubscriptionReceivesNothing(t *testing.T) {
	broadcast(t, 3, func(ctx context.Context, b *flow.Broadcast[int]) {
		gone, stays := b.Subscribe(0), b.Subscribe(0)
		gone.Close()
		if m, err := gone.Recv(ctx); !errors.Is(err, fault.ErrStreamClosed) {
			t.Errorf("a closed subscription got %d, %v", m, err)
		}
		if m, err := stays.Recv(ctx); m != 0 || err != nil {
			t.Errorf("another one got %d, %v", m, err)
		}
		gone.Close()
		if m, err := gone.Recv(ctx); !errors.Is(err, fault.ErrStreamClosed) {
			t.Errorf("closed again, it got %d, %v", m, err)
		}
	})
}
