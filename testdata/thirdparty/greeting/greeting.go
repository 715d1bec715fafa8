// Package greeting is what the greeter and its callers share.
package greeting

import (
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

var (
	Greet     = contract.Func[string, string]("greet") // a greeting
	Countdown = contract.Source[int, int]("countdown") // from its argument to zero
	// Chat greets each name that is sent. Both ends read the stream, so it is open from the start.
	Chat = contract.Context[string, string, string, string, int]("chat").With(contract.ContextOptions{Reading: true})
)

// The two ends of Chat: its handler's, and the end of whoever opens it.
type (
	ChatCallee = contract.Callee[string, string, string]
	ChatOpener = contract.Opener[string, string, string, int]
)

// Rude says that a name is not a name.
type Rude struct{ Name string }

func (r *Rude) Error() string { return r.Name + " is rude" }

// Both ends import this package, so that errors.As finds a *Rude in either.
func init() { fault.Type[Rude]("greeting.Rude") }
