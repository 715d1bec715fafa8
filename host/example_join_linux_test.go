package host_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// visit is what a program does that joins: it calls its host.
func visit(ctx context.Context, address string) error {
	o := host.JoinOptions{Name: "visitor"}
	return host.Join(ctx, address, o, func(ctx context.Context) error {
		text, err := greet.Call(ctx, sdk.Parent(ctx), sdk.Self(ctx).Name)
		fmt.Println(text)
		return err
	})
}

// work is what a program does that does not mind whose tree it is in.
func work(ctx context.Context, address string, body func(ctx context.Context, n *host.Nursery) error) error {
	o := host.Options{Name: "worker", Serve: address, OrJoin: true}
	return host.OpenNursery(ctx, o, body) // or OpenTree
}

// Of programs that begin at once, the first one serves, and the others join it. Here both are in one process.
func ExampleOpenNursery_orJoin() {
	folder, err := os.MkdirTemp("", "join")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	address := filepath.Join(folder, "socket")
	err = work(context.Background(), address, func(context.Context, *host.Nursery) error {
		return work(context.Background(), address, func(ctx context.Context, _ *host.Nursery) error {
			fmt.Println("the second one is", directory.Here(ctx))
			return nil
		})
	})
	fmt.Println(err)
	// Output:
	// the second one is worker
	// <nil>
}

// A host serves at an address, which is a name for most, and programs of the same user join it there. Here
// both are in one process.
func ExampleJoin() {
	folder, err := os.MkdirTemp("", "join")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	o := host.Options{
		Serve: filepath.Join(folder, "socket"), // or a name, such as "default"
		Endpoints: []contract.Handler{
			greet.Handle(func(_ context.Context, name string) (string, error) { return "Hello, " + name + "!", nil }).
				Callers("joined"),
		},
	}
	err = host.OpenNursery(context.Background(), o, func(ctx context.Context, _ *host.Nursery) error {
		return visit(ctx, o.Serve)
	})
	fmt.Println(err)
	// Output:
	// Hello, visitor!
	// <nil>
}
