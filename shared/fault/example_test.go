package fault_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Full says that there is no room.
type Full struct{ Room int }

func (f *Full) Error() string { return fmt.Sprintf("there is room for %d", f.Room) }

// errClosed is a sentinel of a package that both programs import.
var errClosed = errors.New("closed")

func init() {
	fault.Type[Full]("example.Full")
	fault.Sentinel("example.Closed", errClosed)
}

// An error that both programs know is found in what the other one returned. Pack and
// Unpack are what a call does with it on its way.
func ExampleType() {
	err := fmt.Errorf("booking: %w", errors.Join(&Full{Room: 2}, errClosed))
	remote := fault.Unpack(fault.Pack(err, actor.NewID("hotel")))

	full, ok := errors.AsType[*Full](remote)
	fmt.Println(full.Room, ok, errors.Is(remote, errClosed))
	// Output: 2 true true
}

// Errors that a package declares as variables are registered by name.
func ExampleSentinel() {
	remote := fault.Unpack(fault.Pack(fmt.Errorf("hotel: %w", errClosed), actor.NewID("hotel")))
	fmt.Println(errors.Is(remote, errClosed))
	// Output: true
}

// What an actor has failed with says where it arose. %v is one line, and %+v the whole story.
func ExampleRemoteError() {
	err := fmt.Errorf("booking: %w", &Full{Room: 2})
	err = fault.Unpack(fault.Pack(err, actor.ID{Name: "hotel", UUID: "0e1f2a3b-0000-4000-8000-000000000000"}))

	remote, _ := errors.AsType[*fault.RemoteError](err)
	fmt.Println(remote.Message)
	fmt.Println("arose in", remote.Origin.Name)
	// Output:
	// booking: there is room for 2
	// arose in hotel
}

// The cause of a handler's ctx says who wants it to end. It is no failure: it matches context.Canceled.
func ExampleContextCancelled() {
	var cause error = &fault.ContextCancelled{Canceller: actor.ID{Name: "host"}, Reason: "the day is over"}

	cancelled, ok := fault.Cancelled(fmt.Errorf("cleaning up: %w", cause))
	fmt.Println(cancelled.Canceller.Name, cancelled.Reason, ok)
	fmt.Println(errors.Is(cause, context.Canceled), fault.IsCancel(cause))
	// Output:
	// host the day is over true
	// true true
}

// ErrActorLost stands for all ways in which an actor may be lost under a call.
func ExampleActorDied() {
	err := fmt.Errorf("parsing: %w", &fault.ActorDied{ID: actor.ID{Name: "parser"}, ExitCode: 3})

	if errors.Is(err, fault.ErrActorLost) {
		fmt.Println("nobody knows whether the work was done")
	}
	if died, ok := errors.AsType[*fault.ActorDied](err); ok {
		fmt.Println("exit code", died.ExitCode)
	}
	// Output:
	// nobody knows whether the work was done
	// exit code 3
}

// Failures that do not follow from one another are a group. errors.Is and errors.As look through it.
func ExampleGroup() {
	err := fault.Join(&Full{Room: 2}, nil, errClosed)
	fmt.Println(err, errors.Is(err, errClosed))
	fmt.Println(fault.Join(nil, errClosed, nil))
	// Output:
	// 2 failures: there is room for 2; closed true
	// closed
}
