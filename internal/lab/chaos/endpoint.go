//go:build linux

package main

import (
	"context"
	"iter"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

type none = struct{}

// What a child serves. Answers name the process that gave them.
var (
	echo  = contract.Func[none, string]("echo")
	ticks = contract.Source[none, string]("ticks")
	hold  = contract.Context[none, none, none, none, none]("hold")
	talk  = contract.Context[none, none, []byte, []byte, none]("talk")
	pull  = contract.Context[string, none, none, none, none]("pull")   // makes the child load its parent
	deep  = contract.Context[string, string, none, none, none]("deep") // holds a context in a child of the child
)

// What a parent serves to its children.
var (
	upEcho = contract.Func[none, string]("up-echo")
	upHold = contract.Context[string, none, none, none, none]("up-hold")
)

// die is what the frail plugin serves.
var die = contract.Func[none, none]("die")

// served are the endpoints of a plugin.
func (p *player) served() []contract.Handler {
	return []contract.Handler{
		echo.Handle(func(ctx context.Context, _ none) (string, error) { return sdk.Self(ctx).Short(), nil }),
		ticks.Handle(serveTicks),
		hold.Handle(func(ctx context.Context, n none, c *contract.Callee[none, none, none]) (none, error) {
			if err := c.Started(n); err != nil {
				return n, err
			}
			<-ctx.Done()
			return n, context.Cause(ctx)
		}),
		talk.Handle(serveTalk),
		pull.Handle(servePull),
		deep.Handle(serveDeep),
	}
}

func serveTicks(ctx context.Context, _ none) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		self := sdk.Self(ctx).Short()
		for yield(self, nil) && step(ctx) {
		}
	}
}

// serveTalk gives back every message that it gets.
func serveTalk(ctx context.Context, n none, c *contract.Callee[none, []byte, []byte]) (none, error) {
	if err := c.Started(n); err != nil {
		return n, err
	}
	s, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return n, err
	}
	for m, err := range s.All(ctx) {
		if err != nil {
			return n, err
		}
		if err := s.Send(ctx, m); err != nil {
			return n, err
		}
	}
	return n, nil
}

// servePull holds a context open in the parent, and calls it now and then.
func servePull(ctx context.Context, self string, c *contract.Callee[none, none, none]) (none, error) {
	return upHold.Open(ctx, sdk.Parent(ctx), self, func(ctx context.Context, _ *contract.Opener[none, none, none, none]) error {
		if err := c.Started(none{}); err != nil {
			return err
		}
		for step(ctx) {
			if _, err := upEcho.Call(ctx, sdk.Parent(ctx), none{}); err != nil {
				return err
			}
		}
		return context.Cause(ctx)
	})
}

// serveDeep holds a context open in one of this actor's children.
func serveDeep(ctx context.Context, child string, c *contract.Callee[string, none, none]) (none, error) {
	p, err := host.FromContext(ctx).Portal(child)
	if err != nil {
		return none{}, err
	}
	return hold.Open(ctx, p, none{}, func(ctx context.Context, o *contract.Opener[none, none, none, none]) error {
		if err := c.Started(o.Peer().Short()); err != nil {
			return err
		}
		<-ctx.Done()
		return context.Cause(ctx)
	})
}

// exposed are the endpoints that a host serves to its children.
func (p *player) exposed() []contract.Handler {
	return []contract.Handler{
		upEcho.Handle(func(ctx context.Context, _ none) (string, error) { return sdk.Self(ctx).Short(), nil }),
		upHold.Handle(func(ctx context.Context, child string, c *contract.Callee[none, none, none]) (none, error) {
			t := Task{Kind: kindUpHold, Target: child, Peer: c.Peer().Short()}
			if err := c.Started(none{}); err != nil {
				return none{}, err
			}
			p.opened(t)
			<-ctx.Done()
			p.failed(t, context.Cause(ctx))
			return none{}, context.Cause(ctx)
		}),
	}
}

// pause waits, and reports false if ctx ended instead.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
