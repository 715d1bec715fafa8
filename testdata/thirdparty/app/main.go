package main

import (
	"context"
	"fmt"
	"os"

	"example.com/thirdparty/greeting"
	"github.com/seed-2ba35074/trellis/host"
)

func main() {
	err := host.OpenNursery(context.Background(), host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		greeter, err := n.Start(ctx, host.Spec{Name: "greeter", Command: os.Args[1:]})
		if err != nil {
			return err
		}
		text, err := greeting.Greet.Call(ctx, greeter, "world")
		if err != nil {
			return err
		}
		fmt.Println(text)
		return greeter.Cancel(ctx)
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "%+v\n", err)
		os.Exit(1)
	}
}
