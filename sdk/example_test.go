package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// The contract of the examples. In programs it is a package that the plugin and its callers import.
var (
	greet   = contract.Func[string, string]("greet")
	advise  = contract.Func[string, string]("advise") // served by the host
	consult = contract.Func[string, string]("consult")
)

// roleVar makes the test binary a plugin.
const roleVar = "SDK_EXAMPLE_ROLE"

// programs are the main functions of the plugins of the examples.
var programs = map[string]func(){"greeter": greeter, "careful": careful, "client": client, "frugal": frugal}

func TestMain(m *testing.M) {
	if main := programs[os.Getenv(roleVar)]; main != nil {
		main()
		return
	}
	os.Exit(m.Run())
}

// with runs one of these plugins under a host, as host.OpenNursery has it.
func with(name string, o host.Options, do func(ctx context.Context, plugin *host.Portal) error) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	spec := host.Spec{Name: name, Command: []string{self}, Env: map[string]string{roleVar: name, "GORACE": "atexit_sleep_ms=0"}}
	return host.OpenNursery(context.Background(), o, func(ctx context.Context, n *host.Nursery) error {
		plugin, err := n.Start(ctx, spec)
		if err != nil {
			return err
		}
		return errors.Join(do(ctx, plugin), plugin.Cancel(ctx, "done"))
	})
}

// greeter is the main function of a plugin.
func greeter() {
	sdk.Serve(greet.Handle(func(_ context.Context, name string) (string, error) {
		return "Hello, " + name + "!", nil
	}))
}

// A plugin, whole, is a main function that serves endpoints. A host starts it.
func ExampleServe() {
	err := with("greeter", host.Options{}, func(ctx context.Context, plugin *host.Portal) error {
		text, err := greet.Call(ctx, plugin, "world")
		fmt.Println(text)
		return err
	})
	fmt.Println(err)
	// Output:
	// Hello, world!
	// <nil>
}

// client is the main function of a plugin that calls its host.
func client() {
	sdk.Serve(consult.Handle(func(ctx context.Context, question string) (string, error) {
		answer, err := advise.Call(ctx, sdk.Parent(ctx), question)
		return sdk.Self(ctx).Name + " was told: " + answer, err
	}))
}

// Inside a handler, a plugin has a portal to its host, and knows who it is itself.
func ExampleParent() {
	o := host.Options{Endpoints: []contract.Handler{
		advise.Handle(func(context.Context, string) (string, error) { return "better not", nil }),
	}}
	err := with("client", o, func(ctx context.Context, plugin *host.Portal) error {
		text, err := consult.Call(ctx, plugin, "a pony?")
		fmt.Println(text)
		return err
	})
	fmt.Println(err)
	// Output:
	// client was told: better not
	// <nil>
}

// careful is the main function of a plugin that has something to put in order at its end.
func careful() {
	sdk.OnExit(func() { slog.Info("the till is closed") })
	greeter()
}

// A hook runs at the end of the plugin, when no handler runs any more.
func ExampleOnExit() {
	messages := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key != slog.MessageKey {
			return slog.Attr{}
		}
		return a
	}}))
	err := with("careful", host.Options{Log: messages}, func(context.Context, *host.Portal) error { return nil })
	fmt.Println(err)
	// Output:
	// msg="the till is closed"
	// <nil>
}

// frugal is the main function of a plugin that takes little of its host.
func frugal() {
	sdk.Plugin{
		Endpoints: []contract.Handler{
			greet.Handle(func(_ context.Context, name string) (string, error) { return "Hello, " + name + "!", nil }),
		},
		MaxMessage: 1 << 10,
	}.Serve()
}

// Plugin has what Serve does not: bounds, gRPC services, and plugins that this one hosts.
func ExamplePlugin() {
	err := with("frugal", host.Options{}, func(ctx context.Context, plugin *host.Portal) error {
		_, err := greet.Call(ctx, plugin, string(make([]byte, 2<<10)))
		fmt.Println(errors.Is(err, fault.ErrMessageTooLarge))
		text, err := greet.Call(ctx, plugin, "world")
		fmt.Println(text)
		return err
	})
	fmt.Println(err)
	// Output:
	// true
	// Hello, world!
	// <nil>
}
