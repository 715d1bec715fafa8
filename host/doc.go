// Package host embeds Trellis: it makes a program the root of a tree of actors, or
// lets a plugin host further plugins.
//
// An actor is one operating-system process. A [Nursery] is a scope that owns actors:
// it starts them, watches them, restarts those whose [Spec] says so, and does not
// return before every one of them has ended and been reaped.
//
//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//	defer stop()
//	err := host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
//		greeter, err := n.Start(ctx, host.Spec{Name: "greeter", Command: os.Args[1:]})
//		if err != nil {
//			return err
//		}
//		ctx = contract.WithMetadata(ctx, contract.Metadata{"salute": "Hello"}) // with every call below
//		return errors.Join(call(ctx, greeter), count(ctx, greeter), talk(ctx, greeter), greeter.Cancel(ctx, "done"))
//	})
//
// The plugin is written with package sdk. What it serves, and how it is called, is
// declared with package shared/contract:
//
//	text, err := greeting.Greet.Call(ctx, greeter, name)
//	if rude, ok := errors.AsType[*greeting.Rude](err); ok {
//
// # Lifecycle
//
// [Nursery.Start] returns when the actor can be called, or a [*StartError] that names
// the stage at which the start failed; nothing of the actor is left then. The [Portal]
// that it gives is a handle on the actor, not on its process: it goes on working after a
// restart, and may be used from any goroutine until the nursery ends. What each function
// that waits returns in each phase of an actor is a table, docs/what-returns-when.md.
//
// An actor ends in one of these ways: it finishes by itself; [Portal.Cancel] asks it to, or
// [Nursery.Cancel] all of them; the nursery's body fails or its ctx ends; or it fails (its
// process dies, its link breaks, its health checks fail, a task is stuck), which is a
// failure of the nursery unless the actor is restarted. A failure cancels the other actors,
// unless [Options] says otherwise, and OpenNursery returns it. docs/supervision.md says
// what a supervisor does, and by which steps, and with which bounds, an actor is ended.
//
// [OpenTree] starts actors that depend on each other, as package host/config/read reads
// them from a file. [Run] starts an actor for one call. [Nursery.Start] also starts a
// go-plugin binary that knows nothing of Trellis. [Events] tells what becomes of all of
// them. A plugin hosts plugins of its own with [Subtree], or with OpenNursery in a handler. A
// program that no host has started [Join]s a tree whose host serves.
//
// # What each party owes
//
// The application gives OpenNursery a ctx that ends when the program is to end, and looks
// at the ctx that its body gets: the nursery waits for the body. If the program is killed
// instead, even with SIGKILL, its actors end too, but without any order.
//
// The host starts an actor with few of its own environment variables and none of its
// descriptors, authenticates it, reads all that it prints into the log, and bounds what it
// can cost (docs/bounds.md). It ends what does not end by itself.
//
// The plugin looks at the ctx of its handlers, which is how it hears that it is to end.
//
// # How it works inside
//
// A nursery keeps a child for each actor: what survives restarts. An incarnation is one
// process of a child. One goroutine owns it: it starts the process (program, handshake,
// link, boot), lives with it until it is reaped, by itself or ended step by step, and lets
// go of all that belonged to it.
//
// What follows from each of these moments is decided by a pure table, in supervision.go:
// it changes the one state that a child has, and returns what to do and which events to
// tell. The nursery carries that out under its lock, under which no author's code runs.
//
// # Other machines
//
// An actor whose spec has On runs on another machine, where an agent ([Agent]) has joined the root of the tree:
//
//	s.On = &config.On{Labels: map[string]string{"disk": "ssd"}}
//	greeter, err := n.Start(ctx, s)
//
// All else is as on one machine: its portal, its restarts, how it ends, and what it may host itself. Its link is one between
// the two ends, which the agent only carries. What is lost with the agent or the network fails with a *fault.HostLost.
// Such an actor holds a lease, so that it is certain when it is gone; only then another one is started, on an agent that is
// chosen anew. docs/machines.md has what is promised in which case.
package host
