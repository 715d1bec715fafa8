package host_test

import (
	"context"
	"fmt"

	kv "github.com/hashicorp/go-plugin/examples/grpc/proto"
	"github.com/hashicorp/go-plugin/examples/grpc/shared"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
)

// The KV plugin of go-plugin's own examples, under supervision.
func ExampleNursery_Start_foreign() {
	ctx := context.Background()
	err := host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		store, err := n.Start(ctx, host.Spec{
			Name: "store", Command: []string{"./kv-go-grpc"}, Restart: config.Transient,
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
	if err != nil {
		fmt.Println(err)
	}
}

// The plugin's interface as go-plugin's Dispense gives it.
func ExamplePortal_Dispense() {
	hello := func(ctx context.Context, store *host.Portal) ([]byte, error) {
		raw, err := store.Dispense(ctx, &shared.KVGRPCPlugin{})
		if err != nil {
			return nil, err
		}
		return raw.(shared.KV).Get("hello") // of this one process
	}
	_ = hello
}
