package host_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
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
