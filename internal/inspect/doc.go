// Package inspect is what can be known of an actor at one moment: what its host knows, and what its process says
// of itself.
//
//	p := inspect.Self(wire.OrderDump, table)              // the process, as the task of wire.Inspect
//	a := &inspect.Actor{Path: path, …, Process: p}        // its host, for an order
//	text := inspect.Encode(a)                             // on the way to whoever has asked
//
//	tree := inspect.Tree{Registry: r, Records: s, Ask: order}
//	for a := range tree.Each(ctx, entries, wire.OrderDump) { … } // every actor after its host, each within a bound
//	err := tree.Dump(ctx, os.Stdout, "")                         // all of it as a text
//
// # Who asks whom
//
// Three take part: whoever asks, the host of the actor, and the process of the actor.
//
//	host dump ──order──▶ root ──order──▶ … ──order──▶ host of the actor ──trellis/inspect──▶ its process
//
// Whoever asks has the list of all actors from the directory, and gives an order for each of them ([Tree.Each]). So no
// answer grows with the tree, an actor that hangs costs its own bound and nobody else's, and a host that is lost
// meanwhile takes only those below it along. The order goes the way that any order does, from each host to the one
// below it, and the host of the actor answers it: from what it knows, and from what the process says within [Patience].
// What is known of an actor that nobody answers for is its entry in the directory.
//
// The root of a tree asks in the same way, without a link to itself: that is what host.Options.Dump does, also when
// nobody can join any more.
//
// # What hangs, and what does not
//
// It is made for trees of which some of the actors hang. A process is asked at an endpoint of the runtime's, whose
// task has a goroutine of its own, and so answers whatever its author's code does: a handler that holds a lock for ever,
// that computes, that has taken the goroutine which reads the link. One that is stopped does not answer, nor one that
// gets no processor, and its host says so when Patience is over, with the state that the system has for the process. Who
// is below such a one is not asked: each order would wait for the same host.
//
// The question is cut when its time is over (dialog.Request.Impatient), and does not wait for the end of its callee as
// other calls do, so that the bound does not depend on the cancel bounds that a config sets.
//
// # What it costs
//
// Nothing, while nobody asks, but a number in each dialog that says when it has begun, and two that count who waits in it.
// A description reads the program's file for its sum, and a few small files of the system. A dump has each process write
// its stacks, during which that does nothing else: milliseconds, for a thousand goroutines. Nobody else's calls wait for either.
//
// A tree of which nothing hangs is through in the time of a few calls for each twelve actors. Each actor that hangs costs
// Patience, and twelve of them together no more than one.
//
// # Who may ask
//
// Programs that have joined, as for any order, and so the user of the host: nobody else gets through to its socket. An actor answers
// its own host only, and no actor can ask about another one: what is in records and goroutines is not for
// plugins to read.
//
// # What is told
//
// What a host knows of its child is in its supervisor's table already: nothing is kept for the sake of being asked
// but the last event, the last failure, the last check and the end of a pause. The goroutines are told one by one, with what
// each waits for and for how long, while there are not very many: the runtime of Go lets nothing else run while it
// writes them. Of more, equal ones are counted.
//
// Values of environment variables, arguments of programs, and what actors say to each other are not told. Logs, names and texts of errors
// are, and may be private: the docs say so (docs/hangs.md).
//
// What comes from other processes is bounded when it is decoded, and escaped when it is written. In a text, lines that
// a process has said stand behind a bar, so that none of them can be taken for what its host says, or for the
// beginning of another actor.
package inspect
