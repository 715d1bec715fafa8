package flow

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/hub"
	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Topics is what a subscriber of a publisher asks for: the arguments of its endpoint.
type Topics struct {
	// Topics are compared with those of the publications, character by character. None
	// means all.
	Topics []string `json:"topics"`
}

// Publication is one message of a publisher, as its subscribers get it.
type Publication[M any] struct {
	Topic   string `json:"topic"`
	Message M      `json:"message"`
	// Missed is how many publications, of whatever topic, this subscriber has lost
	// right before this one because it was too slow.
	Missed int `json:"missed,omitempty"`
}

// Publish makes one producer serve many subscribers, each with topics of its own. The
// Handler that it gives is served like any other, and a subscriber is a caller of e.Stream.
//
// The producer runs as long as there are subscribers: it begins with the first one, which
// misses nothing, and its ctx ends with the last; for a later one it begins anew. publish never
// waits, and may be called from any goroutine until produce returns. What the producer
// fails or panics with, all subscribers get, as a [*fault.RemoteError]; when it ends well,
// their streams end. A subscriber that is more than window publications behind (64 if 0)
// loses the oldest ones, and is told how many in Missed.
func Publish[M any](e contract.SourceEndpoint[Topics, Publication[M]], window int,
	produce func(ctx context.Context, publish func(topic string, m M)) error,
) contract.Handler {
	producers := &Shared[struct{}, *publisher[M]]{
		Open: func(ctx context.Context, _ struct{}, use func(context.Context, *publisher[M]) error) error {
			return runProducer(ctx, produce, use)
		},
	}
	return e.Handle(func(ctx context.Context, t Topics) iter.Seq2[Publication[M], error] {
		return func(yield func(Publication[M], error) bool) {
			err := producers.Use(ctx, struct{}{}, func(ctx context.Context, p *publisher[M]) error {
				return p.forward(ctx, window, t, yield)
			})
			if err != nil && !errors.Is(err, errConsumerGone) {
				yield(Publication[M]{}, err)
			}
		}
	})
}

// errConsumerGone ends the use of a producer by a subscriber that has left its loop.
var errConsumerGone = errors.New("the subscriber does not read any more")

// publisher is a producer with its subscribers. It is the resource of a [Shared] with one key,
// which counts the subscribers, and ends when none is left.
type publisher[M any] struct {
	hub   *hub.Hub[Publication[M]]
	first sync.Once
	begin chan struct{} // closed by the first subscriber, so that it misses nothing
}

// runProducer is a publisher's life: the producer runs, in a goroutine of its own, as long as
// it is used. use returns when the last subscriber has left.
func runProducer[M any](ctx context.Context, produce func(context.Context, func(string, M)) error,
	use func(context.Context, *publisher[M]) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	p := &publisher[M]{hub: hub.New[Publication[M]](), begin: make(chan struct{})}
	producer := task.Start(func() {
		panics.Attempt(func() error { return p.produce(ctx, produce) }, p.hub.Finish)
	})
	err := use(ctx, p)
	cancel()
	producer.Wait()
	return err
}

// produce runs the author's producer, and returns io.EOF if it ended well: that is what
// subscribers find after the last message.
func (p *publisher[M]) produce(ctx context.Context, produce func(context.Context, func(string, M)) error) error {
	if err := task.Await(ctx, p.begin); err != nil {
		return err
	}
	err := produce(ctx, func(topic string, m M) { p.hub.Put(Publication[M]{Topic: topic, Message: m}) })
	if err == nil {
		err = io.EOF
	}
	return err
}

// forward gives one subscriber what it asked for, until the producer ends. What it has
// lost counts also if it was of a topic that it did not ask for: nobody knows any more.
func (p *publisher[M]) forward(ctx context.Context, window int, t Topics, yield func(Publication[M], error) bool) error {
	c := p.hub.Subscribe(orDefaultWindow(window))
	defer c.Leave()
	p.first.Do(func() { close(p.begin) })
	missed := 0
	for {
		m, err := c.Next(ctx)
		if lagged, ok := errors.AsType[*fault.Lagged](err); ok {
			missed += lagged.Missed
			continue
		}
		switch {
		case err == io.EOF: //nolint:errorlint // a failure may wrap one
			return nil
		case err != nil:
			return err
		case len(t.Topics) > 0 && !slices.Contains(t.Topics, m.Topic):
			continue
		}
		m.Missed, missed = missed, 0
		if !yield(m, nil) {
			return errConsumerGone
		}
	}
}
