package flow

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"

	"github.com/seed-2ba35074/trellis/internal/hub"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Broadcast fans what one stream receives out to many local tasks. The stream keeps pace
// with the fastest subscriber, and receives nothing while there is none that waits.
//
// It belongs to whoever owns the stream, and ends with it. It owns no goroutine: one of the
// subscribers that wait at the front leads, which is to receive a message for all of them.
// If its ctx ends meanwhile, another one leads. All methods may be called from any goroutine.
type Broadcast[In any] struct {
	hub    *hub.Hub[In]
	recv   func(ctx context.Context) (In, error)
	leader chan struct{} // has room for one: for whoever receives
}

// Subscription is one task's view of a broadcast, with a place of its own in the sequence of
// messages. It belongs to that task, which closes it: an open one that nobody reads keeps
// as many messages as its window has. One goroutine at a time may use Recv and All; Close may
// be called from any.
type Subscription[In any] struct {
	b *Broadcast[In]
	c *hub.Cursor[In]
}

// NewBroadcast takes over the receiving end of a stream: from now on only
// subscriptions receive from it. Sending on the stream stays as it was.
func NewBroadcast[Out, In any](s *contract.Stream[Out, In]) *Broadcast[In] {
	return &Broadcast[In]{hub: hub.New[In](), recv: s.Recv, leader: make(chan struct{}, 1)}
}

// Subscribe adds a subscriber, which gets every message that is received from now on. window
// is how many messages it may be behind, 64 if it is 0. Close it when it is not read any
// more.
func (b *Broadcast[In]) Subscribe(window int) *Subscription[In] {
	return &Subscription[In]{b, b.hub.Subscribe(orDefaultWindow(window))}
}

// defaultWindow is the number of messages that a subscriber may be behind.
const defaultWindow = 64

// orDefaultWindow is the window that was asked for.
func orDefaultWindow(window int) int { return cmp.Or(max(0, window), defaultWindow) }

// Close leaves the broadcast. A Recv that waits for others to receive returns; one that
// receives for all does so at the next message, which is theirs.
func (s *Subscription[In]) Close() { s.c.Leave() }

// Recv returns the next message. It waits until there is one; if nobody receives for all,
// it does so itself. A Recv whose ctx ends loses no message, for anybody.
//
// Errors: a [*fault.Lagged] once, if the subscriber was behind by more than its window, and
// then the oldest message that is kept; after the last message io.EOF, or what the stream
// failed with, for everyone; [fault.ErrStreamClosed] after Close; the cause of ctx.
func (s *Subscription[In]) Recv(ctx context.Context) (In, error) {
	for {
		m, ok, changed, err := s.c.Look()
		if ok {
			return m, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return m, context.Cause(ctx)
		case s.b.leader <- struct{}{}:
			if err := s.b.lead(ctx, changed); err != nil {
				return m, err
			}
		}
	}
}

// lead receives one message for all. If ctx ends meanwhile, that is this
// subscriber's own affair, and another one leads.
//
// The leader before may have put a message between this subscriber's look and the moment at which
// it became the leader. changed is closed then, since a leader gives its place away after that.
func (b *Broadcast[In]) lead(ctx context.Context, changed <-chan struct{}) error {
	defer func() { <-b.leader }()
	if task.Closed(changed) {
		return nil
	}
	m, err := b.recv(ctx)
	switch {
	case err == nil:
		b.hub.Put(m)
	case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		return err
	default:
		b.hub.Finish(err)
	}
	return nil
}

// All ranges over the messages until the stream ends. A [*fault.Lagged] does not end it;
// any other error comes last.
func (s *Subscription[In]) All(ctx context.Context) iter.Seq2[In, error] {
	return func(yield func(In, error) bool) {
		for {
			m, err := s.Recv(ctx)
			if err == io.EOF { //nolint:errorlint // a failure may wrap one
				return
			}
			_, lagged := errors.AsType[*fault.Lagged](err)
			if !yield(m, err) || err != nil && !lagged {
				return
			}
		}
	}
}
