// Package fault holds the errors that cross processes: how an error is taken
// apart at one end, put together again at the other, and what the runtime itself
// says when something ends badly.
//
// # The way of an error
//
// What a handler returns or panics with reaches its caller as a [*RemoteError]: with the
// text, the type's name, the actor that it arose in and the actors that relayed it. The
// whole tree of wrapped and joined errors goes with it, within bounds. errors.Is and
// errors.As look through it, at the sentinels of the standard library (context.Canceled,
// io.EOF, fs.ErrNotExist and others), at those and the types of this package, and at those
// that both programs have registered, in a package that they share:
//
//	fault.Type[Full]("example.Full")
//	fault.Sentinel("example.Closed", errClosed)
//
// A registered type arrives with its exported fields, as a value of that type:
//
//	full, ok := errors.AsType[*Full](remote)
//
// An error whose Error method is the value's is found as a value and as a pointer. What is
// not registered keeps its type's name and its text. The text of an error is one line; %+v
// prints the whole tree, actor by actor, and where a name is registered at one end only.
//
// # The runtime's own errors
//
// A task that was asked to end has a [*ContextCancelled] as the cause of its ctx, which
// says who asked, and matches context.Canceled. An actor that is lost is an [*ActorDied],
// [*ActorUnhealthy], [*ActorStuck], [*LinkLost] or [*HostLost], and all of them match [ErrActorLost]. A
// supervisor that gives up is a [*RestartLimit]. A panic is a [*PanicError]. A stream that
// nobody reads is a [*StreamOverrun]. Types that do not fit are a [*ContractError]. A
// deadline that the callee did not keep is an [*Overdue]. Independent failures of one scope
// are a [*Group].
//
// # What each party owes
//
// The author registers types and sentinels in init, under the same name in both programs,
// and does not change a name that is in use. The type is a struct, and its fields are what
// CBOR can carry. Methods of an author's error (Error, Unwrap, Is, As) may wait, and may
// panic: the runtime never calls them under a lock, and gives them a second, after which
// the error goes by the name of its type.
//
// [Pack], [Unpack] and the functions beside them are what the runtime is made of;
// programs need [Type] and [Sentinel] only.
package fault
