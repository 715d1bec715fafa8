package dialog

import (
	"cmp"
	"context"
	"time"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// Receiving is how an actor receives messages in dialogs that do not say otherwise. Zero
// fields mean the defaults. A host's configuration says it for each of its plugins; it reaches
// the plugin with the request that boots it (Tell, Told), and nested code by ctx.
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

// Tell writes into a request how the actor that it boots receives.
func (r Receiving) Tell(b *wire.BootRequest) {
	b.Window, b.WindowMost, b.ReadyTimeout = amount{r.Window.Messages, r.Window.Bytes}.wire(), uint32(r.Window.Most), int64(r.ReadyTimeout)
}

// Told is how an actor receives that was booted by a request. The numbers are a peer's, and are
// cut to what a window may have.
func Told(b *wire.BootRequest) Receiving {
	return Receiving{
		Window: Window{
			Messages: int(min(b.GetWindow().GetMessages(), mostRoom)),
			Bytes:    int(min(b.GetWindow().GetBytes(), mostRoom)),
			Most:     int(min(b.GetWindowMost(), mostRoom)),
		},
		ReadyTimeout: time.Duration(max(0, b.GetReadyTimeout())),
	}
}

type receivingKey struct{}

// WithReceiving returns a ctx in which ReceivingFrom finds r: how the actor receives that
// runs the code under it.
func WithReceiving(ctx context.Context, r Receiving) context.Context {
	return context.WithValue(ctx, receivingKey{}, r)
}

// ReceivingFrom is how the actor receives that runs the code under ctx; the defaults
// outside a plugin.
func ReceivingFrom(ctx context.Context) Receiving {
	r, _ := ctx.Value(receivingKey{}).(Receiving)
	return r
}
