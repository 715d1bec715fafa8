package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/internal/control"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/fabric"
	"github.com/seed-2ba35074/trellis/internal/life"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/logs"
	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// ErrNoHost is what [Join] fails with if no host serves at the address.
var ErrNoHost = control.ErrNoHost

// JoinOptions says who joins. The zero value is ready to use.
type JoinOptions struct {
	// Name is that of the actor which this program becomes; "joined" if empty. Under the name of
	// an actor of the tree this program is not found, but under its path (directory.Find).
	Name string
	// Endpoints that actors of the tree may call.
	Endpoints []contract.Handler
	// Credentials prove to a host on another machine which host this program is on.
	Credentials *fleet.Credentials
}

// Join makes this program an actor in the tree of the host that serves at an address
// ([Options.Serve]; "default" if it is empty), runs body, and leaves. The address of a host on another
// machine ([Fleet]) is like tls://10.0.0.1:7077, or tls://a@10.0.0.1:7077 if only the host a of the fleet is meant. With the ctx of body,
// package directory finds the actors of the tree, sdk.Parent is a portal to the host, and a
// nursery that is opened tells its events there; others find this program and call its
// endpoints. When Join returns, nothing is left of that here; the host tells that this
// actor is gone as soon as it knows.
//
// The ctx of body ends with ctx, when the host asks this actor to end, and when the host is
// lost; its cause says which, a *fault.ContextCancelled or a *fault.LinkLost. Join returns
// what body does, or that cause if body has nothing else to say. Errors before body is run:
// [ErrNoHost], why the host has refused this program, and what is wrong with the address.
//
// Joining works on Linux, between programs of one user; over tls it works between machines, on any system.
func Join(ctx context.Context, address string, o JoinOptions, body func(ctx context.Context) error) error {
	hello, err := introduce(o)
	if err != nil {
		return err
	}
	enter := control.Join
	if fabric.IsAddress(address) {
		enter = func(ctx context.Context, address string, hello *wire.BootResponse) (link.Transport, *wire.BootRequest, error) {
			conn, err := dialFleet(ctx, address, o.Credentials)
			if err != nil {
				return nil, nil, err
			}
			return control.JoinOver(ctx, conn, hello)
		}
	}
	t, boot, err := enter(ctx, cmp.Or(address, "default"), hello)
	if err != nil {
		return err
	}
	log := logs.New(slog.Default())
	defer func() { closedWithin(log.Idle(), lastLogs) }()
	var lost error // why the actor has ended by itself
	l := life.New(life.Config{
		Endpoints: o.Endpoints, PID: os.Getpid(), Trials: dialog.DefaultTrials,
		Base: context.WithoutCancel(ctx), // what ends it, ends it in order
		Exit: func(failure error) { lost = failure }, Log: log.Logger,
	})
	if _, err := l.Boot(ctx, boot, func(context.Context) (link.Transport, error) { return t, nil }); err != nil {
		t.Abort() // it may not be a link's yet
		l.Wait()
		return cmp.Or(causeOf(ctx), lost, err) // the failure may be what the end of ctx looks like from inside
	}
	defer context.AfterFunc(ctx, func() { l.Stop(context.Cause(ctx), nil) })()
	return inside(ctx, l, body)
}

// introduce is what the host is told of this program.
func introduce(o JoinOptions) (*wire.BootResponse, error) {
	id := actor.NewID(cmp.Or(o.Name, "joined"))
	exposed, err := endpoint.Expose(id, o.Endpoints...)
	if err != nil {
		return nil, err
	}
	return &wire.BootResponse{Self: &wire.Identity{Name: id.Name}, Endpoints: exposed.Endpoints(), Sdk: "go/1"}, nil
}

// errLeft is what the tasks of a program are told that leaves, and their callers, as of any actor that ends.
var errLeft = fmt.Errorf("%w: the program has left the tree", fault.ErrActorClosing)

// inside runs body in the life of the actor, which it ends in every case: when body
// returns, panics, or calls runtime.Goexit.
func inside(ctx context.Context, l *life.Life, body func(ctx context.Context) error) error {
	leave := func() {
		l.Stop(errLeft, nil)
		l.Wait()
	}
	defer leave() // does something only if body called runtime.Goexit
	deadline, _ := ctx.Deadline()
	e := l.Run(deadline, func(ctx context.Context) error {
		_, err := directory.WaitFor(ctx, treepath.Exact(directory.Here(ctx))) // others find it from then on
		switch {
		case errors.Is(err, fault.ErrActorClosing):
			<-ctx.Done() // it is about to be told why
			return ctx.Err()
		case err != nil:
			return err
		}
		return panics.Catch(func() error { return body(ctx) })
	})
	leave()
	panics.Rethrow(e.Body)
	if e.Expired {
		e.Cause = cmp.Or(expiry(ctx), e.Cause)
	}
	if e.Echo() {
		return e.Cause
	}
	return e.Body
}

// expiry is why ctx has ended, whose deadline is over: it may have a cause of its own. Body had a
// timer of its own for that deadline, and so ctx may be about to end. One that is an author's may
// never do.
func expiry(ctx context.Context) error {
	closedWithin(ctx.Done(), dialog.DefaultCancelTimeout)
	return causeOf(ctx)
}

// joinInstead is openNursery in the tree of the host that serves where this one was to. If that
// ends before body has begun, another one is joined, or this one serves after all.
func joinInstead(ctx context.Context, o Options, body func(ctx context.Context, n *Nursery) error) error {
	begun := false
	err := Join(ctx, o.Serve, JoinOptions{Name: o.Name, Endpoints: o.Endpoints}, func(ctx context.Context) error {
		begun = true
		o.Serve = ""
		return openNursery(ctx, o, body)
	})
	if !begun && ctx.Err() == nil && hasEnded(err) {
		return openNursery(ctx, o, body)
	}
	return err
}

// hasEnded reports whether a host has ended, or was about to, that was to be joined.
func hasEnded(err error) bool {
	_, cancelled := fault.Cancelled(err)
	_, lost := errors.AsType[*fault.LinkLost](err)
	return cancelled || lost || errors.Is(err, ErrNoHost) && !errors.Is(err, ErrServed) ||
		slices.ContainsFunc([]error{context.Canceled, fault.ErrActorClosing, fault.ErrNurseryClosed}, func(target error) bool { return errors.Is(err, target) })
}
