package contract_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Endpoints are declared once, in a package that both sides import.
var (
	greet     = contract.Func[string, string]("greet")
	countdown = contract.Source[int, int]("countdown")
	total     = contract.Context[none, string, int, int, int]("total")
	checksum  = contract.Context[none, none, []byte, none, uint32]("checksum")
	watch     = contract.Context[string, none, none, string, none]("watch").With(contract.ContextOptions{Reading: true})
	sleep     = contract.Context[none, none, none, none, none]("sleep")
)

// A call gives a result or an error.
func ExampleFunc() {
	greeter, end := actorWith(greet.Handle(func(_ context.Context, name string) (string, error) {
		if name == "" {
			return "", errors.New("nobody to greet")
		}
		return "Hello, " + name + "!", nil
	}))
	defer end()

	text, err := greet.Call(context.Background(), greeter, "world")
	fmt.Println(text, err)
	_, err = greet.Call(context.Background(), greeter, "")
	remote, ok := errors.AsType[*fault.RemoteError](err)
	fmt.Println(remote.Message, ok)
	// Output:
	// Hello, world! <nil>
	// nobody to greet true
}

// A handler of a source is an iterator. Leaving the loop ends it.
func ExampleSource() {
	counter, end := actorWith(countdown.Handle(func(_ context.Context, from int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for n := from; n >= 0 && yield(n, nil); n-- {
			}
		}
	}))
	defer end()

	for n, err := range countdown.Stream(context.Background(), counter, 3) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(n)
	}
	// Output:
	// 3
	// 2
	// 1
	// 0
}

// A context is a pair of tasks with a two-way stream. The callee calls Started when it is
// ready; Open returns when both tasks have ended.
func ExampleContext() {
	adder, end := actorWith(total.Handle(func(ctx context.Context, _ none, c *contract.Callee[string, int, int]) (sum int, err error) {
		if err := c.Started("ready to add"); err != nil {
			return 0, err
		}
		stream, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return 0, err
		}
		for n, err := range stream.All(ctx) {
			if err != nil {
				return 0, err
			}
			sum += n
			if err := stream.Send(ctx, sum); err != nil {
				return 0, err
			}
		}
		return sum, nil
	}))
	defer end()

	sum, err := total.Open(context.Background(), adder, none{}, func(ctx context.Context, c *contract.Opener[string, int, int, int]) error {
		fmt.Println(c.Value())
		stream, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		for _, n := range []int{3, 4} {
			if err := stream.Send(ctx, n); err != nil {
				return err
			}
			so, err := stream.Recv(ctx)
			if err != nil {
				return err
			}
			fmt.Println("so far", so)
		}
		stream.CloseSend()
		return nil
	})
	fmt.Println(sum, err)
	// Output:
	// ready to add
	// so far 3
	// so far 7
	// 7 <nil>
}

// Messages that are looked at and not kept need no memory of their own.
func ExampleStream_Borrow() {
	hasher, end := actorWith(checksum.Handle(func(ctx context.Context, _ none, c *contract.Callee[none, []byte, none]) (sum uint32, err error) {
		if err := c.Started(none{}); err != nil {
			return 0, err
		}
		stream, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return 0, err
		}
		for block, err := range stream.Borrow(ctx) {
			if err != nil {
				return 0, err
			}
			sum = crc32.Update(sum, crc32.IEEETable, block) // and block is not used after this turn
		}
		return sum, nil
	}))
	defer end()

	sum, err := checksum.Open(context.Background(), hasher, none{}, func(ctx context.Context, c *contract.Opener[none, []byte, none, uint32]) error {
		stream, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		defer stream.CloseSend()
		return errors.Join(stream.Send(ctx, []byte("borrowed ")), stream.Send(ctx, []byte("memory")))
	})
	fmt.Println(sum == crc32.ChecksumIEEE([]byte("borrowed memory")), err)
	// Output:
	// true <nil>
}

// What has an effect for many messages at once, such as a transaction, is done for as many as
// have come.
func ExampleStream_Batches() {
	store, end := actorWith(total.Handle(func(ctx context.Context, _ none, c *contract.Callee[string, int, int]) (rows int, err error) {
		if err := c.Started("ready to store"); err != nil {
			return 0, err
		}
		stream, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return 0, err
		}
		for batch, err := range stream.Batches(ctx, 100) {
			if err != nil {
				return 0, err
			}
			rows += len(batch) // in one transaction
		}
		return rows, nil
	}))
	defer end()

	rows, err := total.Open(context.Background(), store, none{}, func(ctx context.Context, c *contract.Opener[string, int, int, int]) error {
		stream, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		defer stream.CloseSend()
		for n := range 1000 {
			if err := stream.Send(ctx, n); err != nil {
				return err
			}
		}
		return nil
	})
	fmt.Println(rows, err)
	// Output:
	// 1000 <nil>
}

// An endpoint whose answers are large, or whose work is heavy, is run a few times at once for each
// caller, and not as often as that likes. The others wait for their turn.
func ExampleHandler_Concurrent() {
	var running, most atomic.Int64
	greeter, end := actorWith(greet.Handle(func(_ context.Context, name string) (string, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		return "Hello, " + name + "!", nil
	}).Concurrent(1))
	defer end()

	var calls sync.WaitGroup
	for range 10 {
		calls.Go(func() {
			if _, err := greet.Call(context.Background(), greeter, "world"); err != nil {
				fmt.Println(err)
			}
		})
	}
	calls.Wait()
	fmt.Println("at once:", most.Load())
	// Output:
	// at once: 1
}

// Cancel returns when the callee's task has ended, its clean-up included. It is not a
// failure of the context.
func ExampleOpener_Cancel() {
	sleeper, end := actorWith(sleep.Handle(func(ctx context.Context, n none, c *contract.Callee[none, none, none]) (none, error) {
		if err := c.Started(n); err != nil {
			return n, err
		}
		<-ctx.Done()
		cancelled, _ := errors.AsType[*fault.ContextCancelled](context.Cause(ctx))
		fmt.Println("cleaning up:", cancelled.Reason)
		return n, context.Cause(ctx)
	}))
	defer end()

	_, err := sleep.Open(context.Background(), sleeper, none{}, func(ctx context.Context, c *contract.Opener[none, none, none, none]) error {
		err := c.Cancel(ctx, "time to wake")
		fmt.Println("the callee's task has ended:", err)
		return err
	})
	fmt.Println(err)
	// Output:
	// cleaning up: time to wake
	// the callee's task has ended: <nil>
	// <nil>
}

// actorWith gives a portal to an actor inside this process, as host.Nursery.Start gives one
// to an actor in a process of its own.
var actorWith = pair.MustStart

// Many contexts that have nothing to do most of the time need no goroutine, in either actor: both
// tasks hibernate until something happens.
func ExampleOpenGroup() {
	var news sync.Map // a stream for each watcher
	var watchers sync.WaitGroup
	watched, end := actorWith(watch.Handle(func(_ context.Context, topic string, c *contract.Callee[none, none, string]) (none, error) {
		if err := c.Started(none{}); err != nil {
			return none{}, err
		}
		s, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return none{}, err
		}
		news.Store(topic, s)
		watchers.Done()
		return contract.Hibernate(func(ctx context.Context) (none, error) { // until the watcher leaves
			news.Delete(topic)
			return none{}, context.Cause(ctx)
		})
	}))
	defer end()

	watchers.Add(1000)
	err := contract.OpenGroup(context.Background(), func(ctx context.Context, g *contract.Group) error {
		for i := range 1000 {
			err := watch.OpenIn(g, watched, fmt.Sprint("topic ", i), func(_ context.Context, c *contract.Opener[none, none, string, none]) error {
				s, err := c.Stream(contract.StreamOptions{})
				if err != nil {
					return err
				}
				return c.Hibernate(func(ctx context.Context) error {
					text, err := s.Recv(ctx)
					if err == nil {
						fmt.Println(text)
						g.Cancel()
					}
					return err
				})
			}, nil)
			if err != nil {
				return err
			}
		}
		watchers.Wait()
		s, _ := news.Load("topic 7")
		return s.(*contract.Stream[string, none]).Send(ctx, "topic 7 has news")
	})
	fmt.Println(err)
	// Output:
	// topic 7 has news
	// <nil>
}
