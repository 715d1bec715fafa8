// Package ours is the plugin of the benchmarks that is built with package sdk.
package ours

import (
	"context"
	"iter"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/usage"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// None is nothing to say.
type None = struct{}

// What the plugin serves.
var (
	// Call answers with what it was given.
	Call = contract.Func[[]byte, []byte]("call")
	// Open returns as soon as it has started.
	Open = contract.Context[None, None, []byte, []byte, None]("open")
	// Pour yields messages of a size without end.
	Pour = contract.Source[int, []byte]("pour")
	// Echo sends every message back.
	Echo = contract.Context[None, None, []byte, []byte, None]("echo")
	// EchoBorrowed is Echo of messages that are borrowed.
	EchoBorrowed = contract.Context[None, None, []byte, []byte, None]("echo-borrowed")
	// Hold stays until it is cancelled.
	Hold = contract.Context[uint64, None, []byte, []byte, None]("hold")
	// Hibernate stays until it is cancelled, without a goroutine.
	Hibernate = contract.Context[None, None, []byte, []byte, None]("hibernate")
	// Ended waits for a Hold to notice its cancellation, and tells when it did.
	Ended = contract.Func[uint64, int64]("ended")
	// Usage collects garbage and tells what the process has.
	Usage = contract.Func[None, usage.Consumption]("usage")
)

// Echoing is the type of Echo.
type Echoing = contract.ContextEndpoint[None, None, []byte, []byte, None]

// Receiving is a way to read a stream.
type Receiving func(*contract.Stream[[]byte, []byte], context.Context) iter.Seq2[[]byte, error]

// The ways to read a stream.
var (
	Owned    Receiving = (*contract.Stream[[]byte, []byte]).All
	Borrowed Receiving = (*contract.Stream[[]byte, []byte]).Borrow
)

type callee = contract.Callee[None, []byte, []byte]

// Serve is the plugin's main.
func Serve() {
	var ended usage.Moments
	sdk.Serve(
		Call.Handle(func(_ context.Context, payload []byte) ([]byte, error) { return payload, nil }),
		Open.Handle(func(_ context.Context, _ None, c *callee) (None, error) { return None{}, c.Started(None{}) }),
		Pour.Handle(func(_ context.Context, size int) iter.Seq2[[]byte, error] { return endless(make([]byte, size)) }),
		Echo.Handle(func(ctx context.Context, _ None, c *callee) (None, error) { return None{}, sendBack(ctx, c, Owned) }),
		EchoBorrowed.Handle(func(ctx context.Context, _ None, c *callee) (None, error) { return None{}, sendBack(ctx, c, Borrowed) }),
		Hold.Handle(func(ctx context.Context, id uint64, c *callee) (None, error) {
			if err := c.Started(None{}); err != nil {
				return None{}, err
			}
			<-ctx.Done()
			ended.Note(id)
			return None{}, context.Cause(ctx)
		}),
		Hibernate.Handle(func(_ context.Context, _ None, c *callee) (None, error) {
			if err := c.Started(None{}); err != nil {
				return None{}, err
			}
			return contract.Hibernate(func(ctx context.Context) (None, error) { return None{}, context.Cause(ctx) })
		}),
		Ended.Handle(ended.Take),
		Usage.Handle(func(context.Context, None) (usage.Consumption, error) { return usage.Own(), nil }),
	)
}

// endless yields one message for ever.
func endless(message []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for yield(message, nil) {
		}
	}
}

func sendBack(ctx context.Context, c *callee, messages Receiving) error {
	if err := c.Started(None{}); err != nil {
		return err
	}
	s, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return err
	}
	for message, err := range messages(s, ctx) {
		if err == nil {
			err = s.Send(ctx, message)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
