// Package actor says who is who. An actor is one operating-system process, the root host or
// a plugin; its identity is a name, a UUID and a pid.
//
// # Lifecycle
//
// An identity is made by the host just before it starts the process, and the process learns
// it in its first exchange with the host. A restart makes another process, and so
// another identity with the same name: whoever holds a host.Portal holds the child, whatever
// its present identity, and whoever holds an [ID] knows one process of it.
//
//	first, second := actor.NewID("greeter"), actor.NewID("greeter") // before a restart, and after it
//	err := error(&fault.ActorDied{ID: first, ExitCode: 3})
//
//	died, ok := errors.AsType[*fault.ActorDied](err)
//	fmt.Println(ok, died.ID.Is(first), died.ID.Is(second))
//
// In a handler, sdk.Self gives the identity of the actor that it runs in, and the Peer of
// an opener or a callee that of the actor at the other end. Errors carry the identity of
// the actor in which they arose, and of those that relayed them; events that of their child.
package actor
