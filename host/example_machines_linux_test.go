package host_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// visitFrom is what a program on another machine does that joins: it calls its host.
func visitFrom(ctx context.Context, credentials *fleet.Credentials, address string) error {
	o := host.JoinOptions{Name: "visitor", Credentials: credentials}
	return host.Join(ctx, "tls://"+address, o, func(ctx context.Context) error {
		text, err := greet.Call(ctx, sdk.Parent(ctx), sdk.Self(ctx).Name)
		fmt.Println(text)
		return err
	})
}

// certified makes a fleet of the hosts a and b, and gives their credentials. On real machines the folder of b is copied to it.
func certified(folder string) (a, b *fleet.Credentials, err error) {
	ca, err := fleet.NewCA(filepath.Join(folder, "ca"))
	if err != nil {
		return nil, nil, err
	}
	all := map[string]*fleet.Credentials{}
	for _, name := range []string{"a", "b"} {
		dir := filepath.Join(folder, name)
		if err := ca.Issue(name, dir, fleet.DefaultLifetime); err != nil {
			return nil, nil, err
		}
		if all[name], err = fleet.LoadCredentials(dir); err != nil {
			return nil, nil, err
		}
	}
	return all["a"], all["b"], nil
}

// A host is joined from another machine. Here both are in one process.
func ExampleJoin_fromAnotherMachine() {
	folder, err := os.MkdirTemp("", "join")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	a, b, err := certified(folder)
	if err != nil {
		panic(err)
	}
	address := loopback() // such as 10.0.0.1:7077
	o := host.Options{
		Fleet: &host.Fleet{Credentials: a, Listen: address},
		Endpoints: []contract.Handler{
			greet.Handle(func(_ context.Context, name string) (string, error) { return "Hello, " + name + "!", nil }).
				Callers("joined"),
		},
	}
	err = host.OpenNursery(context.Background(), o, func(ctx context.Context, _ *host.Nursery) error {
		return visitFrom(ctx, b, address)
	})
	fmt.Println(err)
	// Output:
	// Hello, visitor!
	// <nil>
}

// An agent runs actors on its machine for a host on another one. Here both are in one process, and the process of the
// actor is a child of it.
func ExampleAgent() {
	folder, err := os.MkdirTemp("", "agent")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	a, b, err := certified(folder)
	if err != nil {
		panic(err)
	}
	address := loopback() // such as 10.0.0.1:7077

	// On the machine b; the command is host agent --join tls://10.0.0.1:7077.
	ctx, leave := context.WithCancel(context.Background())
	agent := task.Start(func() {
		o := host.AgentOptions{Join: []string{"tls://" + address}, Credentials: b, Labels: map[string]string{"disk": "ssd"}}
		if err := host.Agent(ctx, o); err != nil {
			panic(err)
		}
	})

	// On the machine a.
	o := host.Options{Fleet: &host.Fleet{Credentials: a, Listen: address}, Log: slog.New(slog.DiscardHandler)}
	err = host.OpenNursery(context.Background(), o, func(ctx context.Context, n *host.Nursery) error {
		s := greeterSpec()
		s.On = &config.On{Labels: map[string]string{"disk": "ssd"}}
		greeter, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		text, err := greet.Call(ctx, greeter, "Ada")
		entries, _ := directory.Query(ctx, "greeter")
		fmt.Println(text, "from", entries[0].Last.Host)
		n.Cancel()
		return err
	})
	fmt.Println(err)
	leave()
	agent.Wait()
	// Output:
	// Hello, Ada! from b
	// <nil>
}
