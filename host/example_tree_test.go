package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

var (
	announce  = contract.Func[string, string]("announce")
	unlock    = contract.Func[none, string]("unlock")
	plead     = contract.Func[none, string]("plead") // for what is in the vault
	thumbnail = contract.Func[string, []byte]("thumbnail")
)

func unlockDoor(context.Context, none) (string, error) { return "the crown jewels", nil }

func makeThumbnail(_ context.Context, picture string) ([]byte, error) {
	return []byte(picture[:1]), nil
}

func init() {
	// The main function of a plugin that hosts those which its config gives it.
	role("hotel", func() {
		sdk.Plugin{
			Endpoints: []contract.Handler{announce.Handle(func(ctx context.Context, guest string) (string, error) {
				greeter, err := host.FromContext(ctx).Portal("greeter")
				if err != nil {
					return "", err
				}
				return greet.Call(ctx, greeter, guest)
			})},
			Hosts: host.Subtree,
		}.Serve()
	})
}

// The vault of a bank, and those who ask for what is in it.
func init() {
	role("vault", func() {
		sdk.Serve(unlock.Handle(unlockDoor).Callers("teller", "joined"))
	})
	asks := func() {
		sdk.Serve(plead.Handle(func(ctx context.Context, n none) (string, error) {
			return unlock.Call(ctx, directory.ByName(ctx, "vault"), n)
		}))
	}
	role("teller", asks)
	role("thief", asks)
}

// treeFile is a config file whose programs are this test binary.
const treeFile = `
actors:
  - name: hotel
    command: ["${PROGRAM}"]
    env: {HOST_TEST_ROLE: hotel, GORACE: atexit_sleep_ms=0}
    actors:
      - name: greeter
        command: ["${PROGRAM}"]
        env: {HOST_TEST_ROLE: greeter, GORACE: atexit_sleep_ms=0}
        restart: transient
`

// An application runs the tree of a file: it reads the file, builds the packages that it names, and opens the
// tree.
func ExampleBuild() {
	ctx := context.Background()
	tree, err := read.Parse("config.yaml", []byte(treeFile), read.Options{Lookup: lookupProgram}) // read.Load for a file on disk
	if err != nil {
		fmt.Println(err) // a line for each problem
		return
	}
	actors, err := host.Build(ctx, ".", tree.Actors, func(s host.BuildStep) { fmt.Println("building", s.Package) })
	if err != nil {
		fmt.Println(err)
		return
	}
	o := host.Options{Supervision: tree.Supervision, Telemetry: tree.Telemetry}
	err = host.OpenTree(ctx, o, actors, func(ctx context.Context, t *host.Tree) error {
		hotel, err := t.Portal("hotel")
		if err != nil {
			return err
		}
		text, err := announce.Call(ctx, hotel, "Ann")
		fmt.Println(text)
		return err
	})
	fmt.Println(err)
	// Output:
	// Hello, Ann!
	// <nil>
}

// lookupProgram finds the one variable of treeFile.
func lookupProgram(name string) (string, bool) {
	self, err := os.Executable()
	return self, err == nil && name == "PROGRAM"
}

// A plugin hosts plugins of its own: its handlers find them in their ctx, and they end before it does.
func ExampleSubtree() {
	hotel := exampleSpec("hotel")
	hotel.Actors = []host.Spec{greeterSpec()}
	err := host.OpenNursery(context.Background(), host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, hotel)
		if err != nil {
			return err
		}
		text, err := announce.Call(ctx, p, "Bob")
		fmt.Println(text)
		return errors.Join(err, p.Cancel(ctx, "done"))
	})
	fmt.Println(err)
	// Output:
	// Hello, Bob!
	// <nil>
}

// An actor says who may call it. Without a word of its own or of its config, its host, its children and its siblings may.
func ExampleOpenTree_callers() {
	actors := []host.Spec{exampleSpec("vault"), exampleSpec("teller"), exampleSpec("thief")}
	err := host.OpenTree(context.Background(), host.Options{}, actors, func(ctx context.Context, t *host.Tree) error {
		for _, name := range []string{"teller", "thief"} {
			p, err := t.Portal(name)
			if err != nil {
				return err
			}
			text, err := plead.Call(ctx, p, none{})
			fmt.Println(name, "gets", strconv.Quote(text), errors.Is(err, fault.ErrNotAllowed))
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// teller gets "the crown jewels" false
	// thief gets "" true
	// <nil>
}

// A host serves endpoints to its actors, too, and may bound how many of an endpoint run at once for each of them.
func ExampleOptions() {
	o := host.Options{
		Name:        "studio",
		Endpoints:   []contract.Handler{thumbnail.Handle(makeThumbnail).Concurrent(8)},
		Supervision: config.Supervision{Strategy: config.OneForOne}, // a failure of one actor leaves the others alone
	}
	err := host.OpenNursery(context.Background(), o, func(_ context.Context, n *host.Nursery) error {
		fmt.Println(n.Self().Name)
		return nil
	})
	fmt.Println(err)
	// Output:
	// studio
	// <nil>
}

// Run starts an actor for one call. Several of them run at the same time.
func ExampleRun() {
	err := host.OpenNursery(context.Background(), host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		ann := host.Run(n, greeterSpec(), greet, "Ann")
		bob := host.Run(n, greeterSpec(), greet, "Bob")
		for _, shot := range []*host.OneShot[string]{ann, bob} {
			text, err := shot.Wait(ctx)
			if err != nil {
				return err
			}
			fmt.Println(text)
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// Hello, Ann!
	// Hello, Bob!
	// <nil>
}

// An actor that does not come up says at which stage that was. Nothing of it is left.
func ExampleStartError() {
	err := host.OpenNursery(context.Background(), host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		_, err := n.Start(ctx, host.Spec{Name: "ghost", Command: []string{"./no-such-program"}})
		return err
	})
	if failed, ok := errors.AsType[*host.StartError](err); ok {
		fmt.Println(failed.Actor, "failed at", failed.Stage)
	}
	fmt.Println(errors.Is(err, os.ErrNotExist))
	// Output:
	// ghost failed at program
	// true
}
