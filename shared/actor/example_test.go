package actor_test

import (
	"errors"
	"fmt"

	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// A name is that of every process of a child. Its identity tells them apart.
func ExampleID_Is() {
	first, second := actor.NewID("greeter"), actor.NewID("greeter") // before a restart, and after it
	err := error(&fault.ActorDied{ID: first, ExitCode: 3})

	died, ok := errors.AsType[*fault.ActorDied](err)
	fmt.Println(ok, died.ID.Is(first), died.ID.Is(second))
	// Output: true true false
}
