package fault_test

import (
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
