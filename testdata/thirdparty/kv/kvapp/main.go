// Command kvapp starts kvplugin and uses it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"example.com/thirdparty/kv"
	"github.com/seed-2ba35074/trellis/host"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, program string) error {
	return host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		store, err := n.Start(ctx, host.Spec{Name: "store", Command: []string{program}})
		if err != nil {
			return err
		}
		if _, err := kv.Put.Call(ctx, store, kv.Entry{Key: "greeting", Value: []byte("hello")}); err != nil {
			return err
		}
		value, err := kv.Get.Call(ctx, store, "greeting")
		if err != nil {
			return err
		}
		fmt.Println(string(value))
		_, err = kv.Get.Call(ctx, store, "farewell")
		missing, ok := errors.AsType[*kv.Missing](err)
		if !ok {
			return err
		}
		fmt.Println("there is no", missing.Key)
		return store.Cancel(ctx, "done")
	})
}
