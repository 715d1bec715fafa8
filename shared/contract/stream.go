package contract

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/seed-2ba35074/trellis/internal/dialog"
)

// StreamOptions says how an end of a stream receives; the zero value is a buffer
// of 64 messages and 4 MiB under backpressure, which grows for a reader that keeps up with its
// sender, up to 8,192 messages, if nothing else is set for the context or the actor.
type StreamOptions = dialog.StreamOptions

// Window is the size of a receive buffer.
type Window = dialog.Window

// Stream is one end of the two-way channel of a context: Out is what this end
// sends, In what it receives. All methods may be called at the same time from many
// goroutines.
type Stream[Out, In any] struct {
	sig     *signature
	codec   string
	out, in string // what errors call the messages
	raw     *dialog.Stream
	broken  func(error) // fails the context: a message did not fit
}

// Send gives one message to the peer. It blocks while the peer's buffer is full
// and returns on room, on the end of ctx or of the context. It is nil, and the
// message is dropped, once the peer has ended well or has closed its stream.
//
// Errors: fault.ErrStreamClosed after CloseSend or Close, fault.ErrMessageTooLarge
// (only this send fails), *fault.ContractError, *fault.StreamOverrun, what the
// context failed with, or the cause of ctx.
func (s *Stream[Out, In]) Send(ctx context.Context, m Out) error {
	payload, err := encodeToSend(s.sig, s.codec, s.out, m)
	if err != nil {
		return err
	}
	return s.raw.SendBuffer(ctx, payload)
}

// Recv returns the next message; io.EOF after the last. If the context fails,
// what was sent before the failure is received first. A Recv whose ctx ends loses
// no message: the next Recv gets it.
func (s *Stream[Out, In]) Recv(ctx context.Context) (m In, err error) {
	payload, err := s.raw.Recv(ctx)
	if err != nil {
		return m, err
	}
	m, err = decodeOwned[In](s.sig, s.codec, s.in, payload)
	if err != nil {
		s.broken(err)
	}
	return m, err
}

// All ranges over the messages until the peer closes its end. There is at most one
// error, and it comes last.
func (s *Stream[Out, In]) All(ctx context.Context) iter.Seq2[In, error] {
	return func(yield func(In, error) bool) {
		for {
			m, err := s.Recv(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// CloseSend tells the peer that no more messages come: its loop ends, then its
// Recv is io.EOF. Receiving goes on.
func (s *Stream[Out, In]) CloseSend() { s.raw.CloseSend() }

// Close leaves the stream: nothing more is sent or received here. The peer may go
// on sending; that is dropped.
func (s *Stream[Out, In]) Close() { s.raw.Close() }
