package host_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/life"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

var (
	// receives is how its actor receives, or the actor's first child.
	receives = contract.Func[bool, dialog.Receiving]("receives")
	// flood is a stream whose one end sends and whose other one does not read: the
	// callee sends if the argument says so.
	flood = contract.Context[bool, none, int, int, none]("flood")
	// flooded opens a flood from the first child of its actor, and returns how that ended.
	flooded = contract.Func[none, none]("flooded")
)

func init() {
	role("receiver", func() { sdk.Plugin{Endpoints: receiver(), Hosts: host.Subtree}.Serve() })
}

func receiver() []contract.Handler {
	return []contract.Handler{
		receives.Handle(func(ctx context.Context, child bool) (dialog.Receiving, error) {
			if !child {
				return life.ReceivingFrom(ctx), nil
			}
			p, err := host.FromContext(ctx).Portal("leaf")
			if err != nil {
				return dialog.Receiving{}, err
			}
			return receives.Call(ctx, p, false)
		}),
		flooded.Handle(func(ctx context.Context, _ none) (r none, err error) {
			p, err := host.FromContext(ctx).Portal("leaf")
			if err != nil {
				return r, err
			}
			return r, openFlood(ctx, p, true)
		}),
		flood.Handle(func(ctx context.Context, sends bool, c *contract.Callee[none, int, int]) (r none, err error) {
			if err := c.Started(none{}); err != nil {
				return r, err
			}
			s, err := c.Stream(contract.StreamOptions{WithoutBackpressure: true})
			if err != nil {
				return r, err
			}
			return r, overrun(ctx, sends, s)
		}),
	}
}

// overrun sends for ever, or does not receive.
func overrun(ctx context.Context, sends bool, s *contract.Stream[int, int]) error {
	for sends {
		if err := s.Send(ctx, 1); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func openFlood(ctx context.Context, p contract.Portal, calleeSends bool) error {
	_, err := flood.Open(ctx, p, calleeSends, func(ctx context.Context, c *contract.Opener[none, int, int, none]) error {
		s, err := c.Stream(contract.StreamOptions{WithoutBackpressure: true})
		if err != nil {
			return err
		}
		return overrun(ctx, !calleeSends, s)
	})
	return err
}

func overran(t *testing.T, err error, window int) {
	t.Helper()
	if o, ok := errors.AsType[*fault.StreamOverrun](err); !ok || o.Window != window || !o.Opened {
		t.Errorf("got %v, want an overrun of %d messages", err, window)
	}
}

// T6 · M05: the receive buffer, and how long a task may take to open it, are set per actor:
// a plugin's by its spec, for its own children, too; the host's by its options.
func TestM05_ReceivingIsSetPerActor(t *testing.T) {
	parallel(t)
	top, leaf := spec(t, "top", "receiver"), spec(t, "leaf", "receiver")
	top.Streams = config.Streams{Messages: 1, Bytes: 1000, Most: 3, ReadyTimeout: config.Duration(time.Hour)}
	leaf.Streams = config.Streams{Messages: 7}
	top.Actors = []host.Spec{leaf}
	own := host.Options{Streams: config.Streams{Messages: 2}}
	_, err := open(t, own, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, top)
		if err != nil {
			return err
		}
		for child, want := range map[bool]dialog.Receiving{
			false: {Window: dialog.Window{Messages: 1, Bytes: 1000, Most: 3}, ReadyTimeout: time.Hour},
			true:  {Window: dialog.Window{Messages: 7}},
		} {
			if got, err := receives.Call(ctx, p, child); got != want || err != nil {
				t.Errorf("of a child (%v): got %+v, %v, want %+v", child, got, err, want)
			}
		}
		for calleeSends, window := range map[bool]int{false: 1, true: 2} {
			overran(t, openFlood(ctx, p, calleeSends), window)
		}
		_, err = flooded.Call(ctx, p, none{})
		overran(t, err, 1) // the plugin's own, towards its child
		return p.Cancel(ctx, "done")
	})
	if err != nil {
		t.Fatal(err)
	}
}

// F09: a nursery whose own buffer cannot be is not opened.
func TestF09_StreamsOfANurseryAreChecked(t *testing.T) {
	_, err := open(t, host.Options{Streams: config.Streams{Messages: -1}}, func(context.Context, *host.Nursery) error {
		t.Error("body ran")
		return nil
	})
	if want := "streams.messages: expected a whole number above zero, got -1"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
