package contract

import (
	"context"
	"io"
	"iter"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// StreamOptions says how one end of a stream receives. The zero value is a buffer under
// backpressure of the size that [ContextOptions], or else the actor's streams setting, gives.
type StreamOptions struct {
	// Window is the receive buffer; fields that are zero are those of the context.
	Window Window
	// WithoutBackpressure lets the sender go on when the buffer is full: the context then
	// fails with a [*fault.StreamOverrun]. The sender still waits for the connection.
	WithoutBackpressure bool
	// AllowOverruns is how many bytes are kept beyond the window, 0 for none, before the
	// context fails with that error. It implies WithoutBackpressure.
	AllowOverruns int
}

func (o StreamOptions) dialog() dialog.StreamOptions {
	return dialog.StreamOptions{Window: dialog.Window(o.Window), WithoutBackpressure: o.WithoutBackpressure, AllowOverruns: o.AllowOverruns}
}

// Window is the size of a receive buffer. Messages and Bytes both count, whichever is used
// up first. More than 2^30 of either is taken for 2^30. All buffers for one peer have 256 MiB
// together: where that is used up, a buffer begins with less, and grows when there is room again.
type Window struct {
	Messages int // 64 if 0
	Bytes    int // 4 MiB if 0; a single message may be larger than that
	// Most is how many messages the window may grow to, for a reader that keeps up with
	// its sender: 8,192 if neither this nor Messages is set. Otherwise a number that is not
	// above Messages lets nothing grow.
	Most int
}

// Stream is one end of the two-way channel of a context: Out is what this end
// sends, In what it receives. It belongs to its context and ends with it, and owns no
// goroutine. All methods may be called at the same time from many goroutines.
type Stream[Out, In any] struct {
	sig     *signature
	codec   string
	out, in string // what errors call the messages
	d       *dialog.Dialog
	raw     *dialog.Stream
}

// Send gives one message to the peer. It waits while the peer's buffer is full, and
// returns on room, on the end of ctx or of the context. It is nil, and the
// message is dropped, once the peer has ended well or has closed its stream.
//
// Errors: [fault.ErrStreamClosed] after CloseSend or Close, [fault.ErrMessageTooLarge]
// (only this Send fails), [*fault.ContractError], [*fault.StreamOverrun], what the
// context failed with, or the cause of ctx.
func (s *Stream[Out, In]) Send(ctx context.Context, m Out) error {
	payload, err := encode(s.sig, s.codec, s.out, m)
	if err != nil {
		return err
	}
	return s.raw.SendBuffer(ctx, payload)
}

// Recv returns the next message; io.EOF after the last. If the context fails,
// what was sent before the failure is received first. A Recv whose ctx ends loses
// no message: the next Recv gets it. A message that does not fit the type fails the context,
// with a [*fault.ContractError].
func (s *Stream[Out, In]) Recv(ctx context.Context) (m In, err error) {
	m, _, err = s.recv(ctx, false)
	return m, err
}

// recv is Recv. With lend, the message may lie in the payload, which the caller frees.
func (s *Stream[Out, In]) recv(ctx context.Context, lend bool) (m In, payload []byte, err error) {
	if payload, err = s.raw.Recv(ctx); err != nil {
		return m, nil, err
	}
	m, err = s.decode(payload, lend)
	return m, payload, err
}

// decode makes a message of its payload. One that does not fit fails the context.
func (s *Stream[Out, In]) decode(payload []byte, lend bool) (m In, err error) {
	if m, err = receive[In](s.sig, s.codec, s.in, payload, lend); err != nil {
		err = from(s.d.Peer(), err)
		s.d.Break(err)
	}
	return m, err
}

// All ranges over the messages until the peer closes its end. There is at most one
// error, one of Recv's, and it comes last.
func (s *Stream[Out, In]) All(ctx context.Context) iter.Seq2[In, error] { return s.each(ctx, false) }

// Borrow is All for messages that are []byte, or contain what was decoded without a copy, and are
// not kept: each is valid until the next turn of the loop, or its end, when another message may
// come to lie in the same memory. What is to stay must be copied (bytes.Clone). It saves an
// allocation for each message, which for large ones is most of what they cost.
func (s *Stream[Out, In]) Borrow(ctx context.Context) iter.Seq2[In, error] { return s.each(ctx, true) }

func (s *Stream[Out, In]) each(ctx context.Context, lend bool) iter.Seq2[In, error] {
	return func(yield func(In, error) bool) {
		for {
			m, payload, err := s.recv(ctx, lend)
			if err == io.EOF { //nolint:errorlint // a failure may wrap one
				return
			}
			goOn := yield(m, err)
			if lend {
				wire.FreePayload(payload)
			}
			if !goOn || err != nil {
				return
			}
		}
	}
}

// Batches ranges over the messages in batches of those that have come meanwhile: one at least, and
// not more than most, if that is above 0, nor than the window has. What comes while a batch is made
// is for the next one, so that a sender which is faster than this end cannot keep it from coming.
// It waits only while there are none. A batch is valid until the next turn of the loop, and the
// messages in it stay. There is at most one error, one of Recv's, and it comes last, without a
// batch. Where ctx ends before the context does, that is at the next turn: messages that have
// come are left to whoever receives next.
func (s *Stream[Out, In]) Batches(ctx context.Context, most int) iter.Seq2[[]In, error] {
	return func(yield func([]In, error) bool) {
		for batch := []In(nil); ; clear(batch) {
			m, err := s.first(ctx)
			others := s.raw.Waiting()
			batch = batch[:0]
			for more := err == nil; more; {
				batch = append(batch, m)
				if more = len(batch) <= others && len(batch) != most; more {
					m, more, err = s.next()
				}
			}
			if err == io.EOF || len(batch) > 0 && !yield(batch, nil) { //nolint:errorlint // a failure may wrap one
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// first is Recv of the first message of a batch. Recv prefers a message to the end of its ctx, and
// so the ctx of a loop would never be seen where a message has always come. Once the context has
// ended its sender stops, and then what was sent before comes first, as it does for Recv.
func (s *Stream[Out, In]) first(ctx context.Context) (m In, err error) {
	if ctx.Err() != nil && s.d.Context().Err() == nil {
		return m, context.Cause(ctx)
	}
	return s.Recv(ctx)
}

// next is Recv of a message that has come; ok is false if there is none.
func (s *Stream[Out, In]) next() (m In, ok bool, err error) {
	payload, ok := s.raw.Next()
	if ok {
		m, err = s.decode(payload, false)
	}
	return m, ok && err == nil, err
}

// Credit is how many messages Send gives to the peer before it waits for room, as far as this end knows at the moment.
func (s *Stream[Out, In]) Credit() int { return s.raw.Credit() }

// CloseSend tells the peer that no more messages come: its loop ends, and its
// Recv is io.EOF after the last one. Receiving goes on.
func (s *Stream[Out, In]) CloseSend() { s.raw.CloseSend() }

// Close leaves the stream: nothing more is sent or received here. The peer may go
// on sending; that is dropped.
func (s *Stream[Out, In]) Close() { s.raw.Close() }
