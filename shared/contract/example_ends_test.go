package contract_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

var (
	whose = contract.Func[none, string]("whose")
	shout = contract.Context[none, none, string, none, int]("shout")
)

// Metadata goes with a call, and with every call that its handler makes with its ctx.
func ExampleWithMetadata() {
	shop, end := actorWith(whose.Handle(func(ctx context.Context, _ none) (string, error) {
		return contract.MetadataFrom(ctx)["tenant"], nil
	}))
	defer end()

	ctx := contract.WithMetadata(context.Background(), contract.Metadata{"tenant": "Ann"})
	tenant, err := whose.Call(ctx, shop, none{})
	fmt.Println(tenant, err)
	// Output: Ann <nil>
}

// A program that does not have the types of an endpoint calls it with JSON, as host call does.
func ExampleFuncByHand() {
	greeter, end := actorWith(greet.Handle(func(_ context.Context, name string) (string, error) {
		return "Hello, " + name + "!", nil
	}))
	defer end()

	text, err := contract.FuncByHand("greet").Call(context.Background(), greeter, json.RawMessage(`"world"`))
	fmt.Println(string(text), err)

	_, err = contract.FuncByHand("greet").Call(context.Background(), greeter, json.RawMessage(`7`))
	_, misfit := errors.AsType[*fault.ContractError](err)
	fmt.Println(misfit)
	// Output:
	// "Hello, world!" <nil>
	// true
}

// A side that reads its stream in any case has it open from the start, and says how much may wait for it.
func ExampleContextEndpoint_With() {
	reading := shout.With(contract.ContextOptions{
		Reading:       true,
		StreamOptions: contract.StreamOptions{Window: contract.Window{Messages: 8}},
	})
	wall, end := actorWith(reading.Handle(func(ctx context.Context, _ none, c *contract.Callee[none, string, none]) (heard int, err error) {
		if err := c.Started(none{}); err != nil {
			return 0, err
		}
		s, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return 0, err
		}
		for _, err := range s.All(ctx) {
			if err != nil {
				return heard, err
			}
			heard++
		}
		return heard, nil
	}))
	defer end()

	heard, err := shout.Open(context.Background(), wall, none{}, func(ctx context.Context, c *contract.Opener[none, string, none, int]) error {
		s, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		defer s.CloseSend()
		for range 100 { // Send waits while eight of them wait for their reader
			if err := s.Send(ctx, "hello"); err != nil {
				return err
			}
		}
		return nil
	})
	fmt.Println(heard, err)
	// Output: 100 <nil>
}

// A scope may run further tasks. It ends when all of them have, and fails with any of them.
func ExampleOpener_Go() {
	sleeper, end := actorWith(sleep.Handle(func(ctx context.Context, n none, c *contract.Callee[none, none, none]) (none, error) {
		if err := c.Started(n); err != nil {
			return n, err
		}
		<-ctx.Done()
		return n, context.Cause(ctx)
	}))
	defer end()

	_, err := sleep.Open(context.Background(), sleeper, none{}, func(ctx context.Context, c *contract.Opener[none, none, none, none]) error {
		c.Go(func(context.Context) error { return errors.New("the house is on fire") })
		_, err := c.Wait(ctx) // for the callee's result
		return err
	})
	fmt.Println(err)
	// Output: the house is on fire
}
