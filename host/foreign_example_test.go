package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/go-plugin"
	kv "github.com/hashicorp/go-plugin/examples/grpc/proto"
	"github.com/hashicorp/go-plugin/examples/grpc/shared"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/sdk"
)

// KV is what a plugin of go-plugin's own examples has behind its interface.
type KV struct{}

func (KV) Put(string, []byte) error { return errors.New("this one only reads") }

func (KV) Get(key string) ([]byte, error) { return []byte("the value of " + key), nil }

func init() {
	// A plugin of bare go-plugin, which knows nothing of Trellis.
	role("kv", func() {
		plugin.Serve(&plugin.ServeConfig{
			HandshakeConfig: shared.Handshake,
			Plugins:         plugin.PluginSet{shared.PluginGRPC: &shared.KVGRPCPlugin{Impl: &KV{}}},
			GRPCServer:      plugin.DefaultGRPCServer,
		})
	})
	// The same service, served by package sdk.
	role("kv-sdk", func() {
		sdk.Plugin{Services: (&shared.KVGRPCPlugin{Impl: &KV{}}).GRPCServer}.Serve()
	})
}

// kvProgram stands for the path of a program, such as "./kv-go-grpc".
func kvProgram() (program string, env map[string]string) {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return self, map[string]string{roleVar: "kv", "GORACE": "atexit_sleep_ms=0"}
}

// A plugin of bare go-plugin, under supervision.
func ExampleNursery_Start_foreign() {
	program, env := kvProgram()
	err := host.OpenNursery(context.Background(), host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		store, err := n.Start(ctx, host.Spec{
			Name: "store", Command: []string{program}, Env: env, Restart: config.Transient,
			GoPlugin: &config.GoPlugin{Cookie: map[string]string{"BASIC_PLUGIN": "hello"}, Versions: []int{1}},
		})
		if err != nil {
			return err
		}
		client := kv.NewKVClient(store.Services()) // what protoc generates; it survives restarts
		value, err := client.Get(ctx, &kv.GetRequest{Key: "hello"})
		if err != nil {
			return err
		}
		fmt.Println(string(value.Value))
		return store.Cancel(ctx, "done")
	})
	fmt.Println(err)
	// Output:
	// the value of hello
	// <nil>
}

// The plugin's interface as go-plugin's Dispense gives it. This plugin is served by package sdk, with the gRPC
// service that it had before.
func ExamplePortal_Dispense() {
	err := host.OpenNursery(context.Background(), host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		store, err := n.Start(ctx, exampleSpec("kv-sdk"))
		if err != nil {
			return err
		}
		raw, err := store.Dispense(ctx, &shared.KVGRPCPlugin{})
		if err != nil {
			return err
		}
		value, err := raw.(shared.KV).Get("hello") // of this one process
		fmt.Println(string(value))
		return errors.Join(err, store.Cancel(ctx, "done"))
	})
	fmt.Println(err)
	// Output:
	// the value of hello
	// <nil>
}
