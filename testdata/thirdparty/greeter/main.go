// Command greeter is a plugin.
package main

import (
	"context"
	"iter"

	"example.com/thirdparty/greeting"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

func main() {
	sdk.Serve(greeting.Greet.Handle(greet), greeting.Countdown.Handle(countdown), greeting.Chat.Handle(chat))
}

func chat(ctx context.Context, guest string, c *greeting.ChatCallee) (greeted int, err error) {
	if err := c.Started("welcome, " + guest); err != nil { // now the opener's body runs
		return 0, err
	}
	stream, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return 0, err
	}
	for name, err := range stream.All(ctx) { // until the opener sends no more
		if err != nil {
			return greeted, err
		}
		if err := stream.Send(ctx, "hello, "+name); err != nil {
			return greeted, err
		}
		greeted++
	}
	return greeted, nil
}

func greet(ctx context.Context, name string) (string, error) {
	if name == "nuts" {
		return "", &greeting.Rude{Name: name}
	}
	return contract.MetadataFrom(ctx)["salute"] + ", " + name + "!", nil
}

func countdown(_ context.Context, from int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for n := from; n >= 0 && yield(n, nil); n-- {
		}
	}
}
