package dialog

import (
	"cmp"
	"time"
)

// Receiving is how an actor receives messages in dialogs that do not say otherwise. Zero
// fields mean the defaults.
type Receiving struct {
	// Window is the receive buffer.
	Window Window
	// ReadyTimeout is how long a task may take to open its end of a stream that more
	// messages wait for than the window has room for.
	ReadyTimeout time.Duration
}

// Or fills in what is not set.
func (r Receiving) Or(other Receiving) Receiving {
	return Receiving{Window: r.Window.or(other.Window), ReadyTimeout: cmp.Or(r.ReadyTimeout, other.ReadyTimeout)}
}
