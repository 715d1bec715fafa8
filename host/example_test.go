package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// What the plugin of the examples serves.
var (
	greet   = contract.Func[string, string]("greet")
	die     = contract.Func[none, none]("die")
	welcome = contract.Func[string, string]("welcome")
)

func init() {
	role("greeter", func() {
		sdk.Serve(
			greet.Handle(func(_ context.Context, name string) (string, error) { return "Hello, " + name + "!", nil }),
			die.Handle(func(context.Context, none) (none, error) {
				os.Exit(3)
				return none{}, nil
			}),
		)
	})
	role("porter", func() {
		sdk.Serve(welcome.Handle(func(ctx context.Context, guest string) (string, error) {
			greeter, err := directory.Find(ctx, "greeter") // wherever in the tree it is
			if err != nil {
				return "", err
			}
			text, err := greet.Call(ctx, greeter, guest)
			return text + " Come in.", err
		}))
	})
}

// exampleSpec starts this test binary as a plugin. An application names a program:
// Command: []string{"./greeter"}.
func exampleSpec(name string) host.Spec {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return host.Spec{Name: name, Command: []string{self}, Env: map[string]string{roleVar: name, "GORACE": "atexit_sleep_ms=0"}}
}

func greeterSpec() host.Spec { return exampleSpec("greeter") }

// A nursery ends when its body has returned and every child has ended. Its ctx ends with
// Ctrl-C, so that children end in order then.
func ExampleOpenNursery() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		greeter, err := n.Start(ctx, greeterSpec())
		if err != nil {
			return err
		}
		text, err := greet.Call(ctx, greeter, "world")
		fmt.Println(text)
		return errors.Join(err, greeter.Cancel(ctx, "done"))
	})
	fmt.Println(err)
	// Output:
	// Hello, world!
	// <nil>
}

// A plugin finds another one by its name, and calls it as its host would.
func ExampleOpenTree_siblings() {
	actors := []host.Spec{exampleSpec("greeter"), exampleSpec("porter")}
	err := host.OpenTree(context.Background(), host.Options{}, actors, func(ctx context.Context, _ *host.Tree) error {
		porter, err := directory.Find(ctx, "porter")
		if err != nil {
			return err
		}
		text, err := welcome.Call(ctx, porter, "Ada")
		fmt.Println(text)
		return err
	})
	fmt.Println(err)
	// Output:
	// Hello, Ada! Come in.
	// <nil>
}

// A child that dies is started again. The call that was in it fails, and the portal goes
// on working.
func ExampleNursery_Start_restart() {
	err := host.OpenNursery(context.Background(), host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		spec := greeterSpec()
		spec.Restart = config.Transient
		spec.Backoff.Initial = config.Duration(time.Millisecond)
		greeter, err := n.Start(ctx, spec)
		if err != nil {
			return err
		}
		_, err = die.Call(ctx, greeter, none{})
		if died, ok := errors.AsType[*fault.ActorDied](err); ok {
			fmt.Println("it died with exit code", died.ExitCode)
		}
		text, err := greet.Call(ctx, greeter, "again") // waits for the next process
		fmt.Println(text)
		return errors.Join(err, greeter.Cancel(ctx, "done"))
	})
	fmt.Println(err)
	// Output:
	// it died with exit code 3
	// Hello, again!
	// <nil>
}

// A tree starts in the order of its dependencies and ends in the opposite order. Package
// config reads one from a file.
func ExampleOpenTree() {
	first, second := greeterSpec(), greeterSpec()
	second.Name, second.DependsOn = "second", map[string]config.Condition{"greeter": config.Started}
	err := host.OpenTree(context.Background(), host.Options{}, []host.Spec{second, first}, func(ctx context.Context, t *host.Tree) error {
		portal, err := t.Portal("second")
		if err != nil {
			return err
		}
		text, err := greet.Call(ctx, portal, "tree")
		fmt.Println(text)
		return err
	})
	fmt.Println(err)
	// Output:
	// Hello, tree!
	// <nil>
}

// An actor of a tree has more replicas while there is more to do, and fewer later.
func ExampleTree_Scale() {
	err := host.OpenTree(context.Background(), host.Options{}, []host.Spec{greeterSpec()}, func(ctx context.Context, t *host.Tree) error {
		for _, n := range []int{3, 1} {
			if err := t.Scale(ctx, "greeter", n); err != nil {
				return err
			}
			greeters, err := t.Portals("greeter")
			if err != nil {
				return err
			}
			for _, greeter := range greeters {
				text, err := greet.Call(ctx, greeter, greeter.Path())
				if err != nil {
					return err
				}
				fmt.Println(text)
			}
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// Hello, greeter!
	// Hello, greeter#2!
	// Hello, greeter#3!
	// Hello, greeter!
	// <nil>
}

// A portal to all replicas together: each call goes to one of them, those that come later included.
func ExampleOpenTree_spread() {
	greeter := greeterSpec()
	greeter.Replicas = 2
	err := host.OpenTree(context.Background(), host.Options{}, []host.Spec{greeter}, func(ctx context.Context, t *host.Tree) error {
		all := directory.Spread(ctx, "greeter")
		text, err := greet.Call(ctx, all, "whoever")
		fmt.Println(text)
		err = errors.Join(err, t.Scale(ctx, "greeter", 4))
		mine := directory.ByKey(ctx, "greeter", "Ada") // always the same one for Ada, while it is ready
		text, failed := greet.Call(ctx, mine, "Ada")
		fmt.Println(text)
		return errors.Join(err, failed)
	})
	fmt.Println(err)
	// Output:
	// Hello, whoever!
	// Hello, Ada!
	// <nil>
}

// Events tell what happens to the actors of a ctx.
func ExampleEvents() {
	ctx := host.WithEvents(context.Background())
	err := host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		greeter, err := n.Start(ctx, greeterSpec())
		if err != nil {
			return err
		}
		return greeter.Cancel(ctx, "done")
	})
	fmt.Println(err)
	for event, err := range host.Events(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(event.Actor.Name, event.To)
		if event.To == directory.Gone {
			return
		}
	}
	// Output:
	// <nil>
	// greeter waiting
	// greeter starting
	// greeter ready
	// greeter stopping
	// greeter reaped
	// greeter gone
}
