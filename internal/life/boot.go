package life

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// Boot makes this the actor that its parent says it is, over the transport that connect opens,
// and returns when it is ready to be called. An actor is booted once: a second Boot is
// refused, even if the first one has failed, since nothing of what that has begun is taken back.
//
// The codes are part of the protocol: FailedPrecondition means that another start of the
// same program would be refused as well, and the host does not restart such an actor.
func (l *Life) Boot(ctx context.Context, r *wire.BootRequest, connect func(ctx context.Context) (link.Transport, error)) (*wire.BootResponse, error) {
	if l.booted.Swap(true) {
		return nil, status.Error(codes.AlreadyExists, "trellis: this actor has been booted before")
	}
	if err := l.cfg.check(r); err != nil {
		return nil, status.Errorf(codes.FailedPrecondition, "trellis: %v", err)
	}
	transport, err := connect(ctx)
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "trellis: open the host's link: %v", err)
	}
	exposed, err := l.begin(r, transport)
	if err != nil {
		return nil, err
	}
	if err := l.awaitReady(ctx); err != nil {
		return nil, status.Errorf(codes.Aborted, "trellis: %v", err)
	}
	return &wire.BootResponse{Self: wire.FromID(l.Self()), Endpoints: exposed.Endpoints(), Sdk: "go/1"}, nil
}

// check refuses a boot that this program cannot carry out, before anything is begun. A
// request without an identity or a link comes from a host whose messages have other fields.
// More dialogs than the default are refused, because the windows that they are guaranteed,
// and what is lent beside, would add up to more than a link has (docs/bounds.md).
func (c *Config) check(r *wire.BootRequest) error {
	if len(r.Tree) > 0 && c.Hosts == nil {
		return fmt.Errorf("the tree gives actor %q children, but this plugin does not host any: "+
			"serve it with sdk.Plugin{Hosts: host.Subtree, …}", r.Self.GetName())
	}
	if min(c.MaxMessage, c.MaxDialogs, c.MaxArguments) < 0 || c.MaxDialogs > link.DefaultMaxDialogs {
		return fmt.Errorf("sdk.Plugin has MaxMessage %d, MaxDialogs %d and MaxArguments %d; expected 0, for the default, or more of each, and at most %d dialogs",
			c.MaxMessage, c.MaxDialogs, c.MaxArguments, link.DefaultMaxDialogs)
	}
	if r.Self.GetUuid() == "" || r.Broker == 0 {
		return fmt.Errorf("the host's boot request has no identity or no link; host and plugin were built with different versions")
	}
	return nil
}

// awaitReady waits until the service runs, or has failed to; an actor that was asked to end
// before it ran has not failed, and ends as one that ran. The end of ctx means that the
// host does not wait for the boot any more: the actor ends by itself then, without waiting
// to be killed.
func (l *Life) awaitReady(ctx context.Context) error {
	select {
	case <-l.ready:
		return nil
	case <-l.ended:
		if task.Closed(l.ready) { // and has ended since, as the link says
			return nil
		}
		return l.failed
	case <-ctx.Done():
		l.Stop(ctx.Err(), nil)
		return context.Cause(ctx)
	}
}
