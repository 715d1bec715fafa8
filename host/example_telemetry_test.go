package host_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// The program at the root reads what all actors of its tree log and print, and what becomes of them. Here it
// waits for the first error.
func ExampleOpenNursery_telemetry() {
	options := host.Options{Log: slog.New(slog.DiscardHandler), Telemetry: config.Telemetry{Records: 1000}}
	err := host.OpenNursery(context.Background(), options, func(ctx context.Context, n *host.Nursery) error {
		spec := greeterSpec()
		spec.Restart = config.Transient
		greeter, err := n.Start(ctx, spec)
		if err != nil {
			return err
		}
		if _, err := die.Call(ctx, greeter, none{}); err == nil {
			return fmt.Errorf("the greeter has survived")
		}
		for r, err := range telemetry.From(ctx).Watch(ctx, telemetry.Filter{Level: slog.LevelError, Follow: true}) {
			if err != nil {
				return err
			}
			fmt.Println(r.Actor, r.Level, r.Text)
			break
		}
		n.Cancel()
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// greeter ERROR actor died
}

// The program at the root reads what its actors do: both sides of each call, and starts and ends.
func ExampleOpenNursery_traces() {
	options := host.Options{Log: slog.New(slog.DiscardHandler), Telemetry: config.Telemetry{Spans: 1000}}
	err := host.OpenNursery(context.Background(), options, func(ctx context.Context, n *host.Nursery) error {
		greeter, err := n.Start(ctx, greeterSpec())
		if err != nil {
			return err
		}
		if _, err := greet.Call(ctx, greeter, "world"); err != nil {
			return err
		}
		for s, err := range telemetry.From(ctx).WatchSpans(ctx, telemetry.Filter{Follow: true}) {
			if err != nil {
				return err
			}
			fmt.Println(s.Kind, s.Name, s.Status)
			if s.Kind == telemetry.Server {
				break
			}
		}
		n.Cancel()
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// internal start greeter ok
	// client call greeter/greet ok
	// server serve greeter/greet ok
}
