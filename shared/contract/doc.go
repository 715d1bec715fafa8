// Package contract declares typed endpoints: once, in a package that a plugin and
// its callers share. The declaration types both ends.
//
//	var (
//		Greet     = contract.Func[string, string]("greet") // a greeting
//		Countdown = contract.Source[int, int]("countdown") // from its argument to zero
//		// Chat greets each name that is sent. Both ends read the stream, so it is open from the start.
//		Chat = contract.Context[string, string, string, string, int]("chat").With(contract.ContextOptions{Reading: true})
//	)
//
// A [FuncEndpoint] is one call with one answer. A [SourceEndpoint] is a one-way stream;
// leaving the loop ends its producer. A [ContextEndpoint] is a linked pair of tasks, one in
// each actor, with a two-way stream between them. A plugin serves what Handle makes of a
// function:
//
//	sdk.Serve(greeting.Greet.Handle(greet), greeting.Countdown.Handle(countdown), greeting.Chat.Handle(chat))
//
// A caller has a [Portal], from package host for a child and from package sdk for the
// parent, and names the endpoint:
//
//	for n, err := range greeting.Countdown.Stream(ctx, greeter, 3) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(n)
//	}
//
// # Lifecycle of a context
//
// [ContextEndpoint.Open] starts the callee's handler and runs its own function, the body,
// when the handler has called [Callee.Started]. Each side may open its end of the stream
// with Stream, once, and start further tasks with Go. Open returns when both tasks and all
// that they started have ended: with the handler's result, or with the failure of either.
//
//	if err := c.Started("welcome, " + guest); err != nil { // now the opener's body runs
//		return 0, err
//	}
//	stream, err := c.Stream(contract.StreamOptions{})
//	if err != nil {
//		return 0, err
//	}
//	for name, err := range stream.All(ctx) { // until the opener sends no more
//
// A loop over [Stream.All] has messages that stay. One over [Stream.Borrow] has each for one turn,
// which is much cheaper for large ones, and one over [Stream.Batches] has all that have come.
// [Stream.Send] waits while the peer's buffer is full. A side that has no more to say calls
// [Stream.CloseSend]; a handler's return does that too. [Opener.Cancel] ends the
// context without a failure. docs/who-raises-what.md has all ways in which a context ends,
// and what each side sees of it.
//
// # Many contexts that are idle
//
// A context that waits costs a goroutine on each side, with some 4 KiB of stack. Where there are
// thousands, [OpenGroup] owns them and [ContextEndpoint.OpenIn] opens them, and a task that has
// nothing to do gives its goroutine back: [Opener.Hibernate] and [Hibernate] take what it goes on
// with when a message comes, or the other side ends, or its own ctx. All else is as above.
//
// # What each party owes
//
// Both functions look at their ctx, which ends with the reason as its cause when the other
// side has failed, cancelled or gone. Both open their end of the stream if the other one
// sends, or the context fails with a [*fault.StreamOverrun]; Reading in [ContextOptions]
// opens it from the start. A call with a deadline returns soon after it; one without waits for the
// handler, however long it takes.
//
// # Payloads
//
// A payload is protobuf when its type is a proto.Message, else CBOR, which honours json
// struct tags. Both ends compare a fingerprint of all types when they begin, and a
// [*fault.ContractError] says what does not fit; a field marked omitempty or omitzero is
// left out of the fingerprint, so that optional fields may be added or removed without
// breaking older programs. An endpoint is refused with such an error where it is called or
// served if its values could not be encoded, or would arrive without their content:
// channels, functions, two fields of one name, and structs with unexported fields only that
// have no encoding of their own, such as those of sync/atomic. [Metadata] goes with a call,
// and with every call that its handler makes with its ctx.
//
// # More
//
// [FuncByHand], [SourceByHand] and [ContextByHand] call endpoints whose types the program
// does not know, with JSON. Package shared/flow combines endpoints: many contexts as one
// group, one stream for many tasks.
package contract
