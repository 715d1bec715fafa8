// Command app is an application that starts the greeter and calls it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"example.com/thirdparty/greeting"
	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		greeter, err := n.Start(ctx, host.Spec{Name: "greeter", Command: os.Args[1:]})
		if err != nil {
			return err
		}
		ctx = contract.WithMetadata(ctx, contract.Metadata{"salute": "Hello"}) // with every call below
		return errors.Join(call(ctx, greeter), count(ctx, greeter), talk(ctx, greeter), greeter.Cancel(ctx, "done"))
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "%+v\n", err)
		os.Exit(1)
	}
}

func call(ctx context.Context, greeter *host.Portal) error {
	for _, name := range []string{"world", "nuts"} {
		text, err := greeting.Greet.Call(ctx, greeter, name)
		if rude, ok := errors.AsType[*greeting.Rude](err); ok {
			text = "no greeting for " + rude.Name
		} else if err != nil {
			return err
		}
		fmt.Println(text)
	}
	return nil
}

func count(ctx context.Context, greeter *host.Portal) error {
	for n, err := range greeting.Countdown.Stream(ctx, greeter, 3) {
		if err != nil {
			return err
		}
		fmt.Println(n)
	}
	return nil
}

func talk(ctx context.Context, greeter *host.Portal) error {
	greeted, err := greeting.Chat.Open(ctx, greeter, "Ann", func(ctx context.Context, c *greeting.ChatOpener) error {
		fmt.Println(c.Value()) // what the callee gave to Started
		stream, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		if err := errors.Join(stream.Send(ctx, "Bob"), stream.Send(ctx, "Cid")); err != nil {
			return err
		}
		stream.CloseSend()
		for text, err := range stream.All(ctx) { // until the callee returns
			if err != nil {
				return err
			}
			fmt.Println(text)
		}
		return nil
	})
	fmt.Println("greeted:", greeted)
	return err
}
