package flow_test

import (
	"context"
	"fmt"

	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/flow"
)

// Endpoints are declared once, in a package that both sides import.
var (
	tally   = contract.Context[none, none, int, none, int]("tally").With(contract.ContextOptions{Reading: true})
	tail    = contract.Context[none, none, none, string, none]("tail")
	weather = contract.Source[flow.Topics, flow.Publication[string]]("weather")
)

type (
	tallyOpener = contract.Opener[none, int, none, int]
	tailOpener  = contract.Opener[none, none, string, none]
)

// actorWith gives a portal to an actor inside this process, as host.Nursery.Start gives one
// to an actor in a process of its own.
var actorWith = pair.MustStart

// addUp serves tally.
func addUp(ctx context.Context, started none, c *contract.Callee[none, int, none]) (sum int, err error) {
	if err := c.Started(started); err != nil {
		return 0, err
	}
	numbers, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return 0, err
	}
	for n, err := range numbers.All(ctx) {
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// Contexts in two actors are one group: body runs when both have started, and a failure of
// either, or of body, ends the other.
func ExampleOpenAll() {
	first, endFirst := actorWith(tally.Handle(addUp))
	defer endFirst()
	second, endSecond := actorWith(tally.Handle(addUp))
	defer endSecond()

	targets := []flow.Target[none]{{Portal: first}, {Portal: second}}
	sums, err := flow.OpenAll(context.Background(), tally, targets, func(ctx context.Context, all []*tallyOpener) error {
		for i, c := range all {
			numbers, err := c.Stream(contract.StreamOptions{})
			if err != nil {
				return err
			}
			if err := numbers.Send(ctx, 10*(i+1)); err != nil {
				return err
			}
			numbers.CloseSend()
		}
		return nil
	})
	fmt.Println(sums, err)
	// Output: [10 20] <nil>
}

// Each subscriber gets every message, at a pace of its own.
func ExampleBroadcast() {
	logger, end := actorWith(tail.Handle(func(ctx context.Context, started none, c *contract.Callee[none, none, string]) (none, error) {
		if err := c.Started(started); err != nil {
			return none{}, err
		}
		lines, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return none{}, err
		}
		for _, line := range []string{"one", "two"} {
			if err := lines.Send(ctx, line); err != nil {
				return none{}, err
			}
		}
		return none{}, nil
	}))
	defer end()

	_, err := tail.Open(context.Background(), logger, none{}, func(_ context.Context, c *tailOpener) error {
		lines, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		all := flow.NewBroadcast(lines)
		screen, file := all.Subscribe(0), all.Subscribe(0) // before the first message is received
		for name, to := range map[string]*flow.Subscription[string]{"screen": screen, "file": file} {
			c.Go(func(ctx context.Context) error { // tasks of the context, which ends when they have
				defer to.Close()
				for line, err := range to.All(ctx) {
					if err != nil {
						return err
					}
					fmt.Println(name, line)
				}
				return nil
			})
		}
		return nil
	})
	fmt.Println(err)
	// Unordered output:
	// screen one
	// screen two
	// file one
	// file two
	// <nil>
}

// The first user of a key opens its resource, and the last one closes it.
func ExampleShared() {
	stores := flow.Shared[string, string]{Open: func(ctx context.Context, key string, use func(context.Context, string) error) error {
		fmt.Println("opening", key)
		defer fmt.Println("closed", key)
		return use(ctx, "the store of "+key)
	}}
	err := stores.Use(context.Background(), "orders", func(ctx context.Context, first string) error {
		return stores.Use(ctx, "orders", func(_ context.Context, second string) error {
			fmt.Println("two users, one resource:", first == second)
			return nil
		})
	})
	fmt.Println(err)
	// Output:
	// opening orders
	// two users, one resource: true
	// closed orders
	// <nil>
}

// One producer serves all subscribers, each of which gets the topics that it asks for.
func ExamplePublish() {
	station, end := actorWith(flow.Publish(weather, 0, func(_ context.Context, publish func(topic, message string)) error {
		publish("wind", "north")
		publish("rain", "none")
		publish("wind", "west")
		return nil
	}))
	defer end()

	for p, err := range weather.Stream(context.Background(), station, flow.Topics{Topics: []string{"wind"}}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(p.Topic, p.Message)
	}
	// Output:
	// wind north
	// wind west
}
