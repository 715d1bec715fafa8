package life

import (
	"context"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// How an actor receives messages, a host's configuration says for each of its plugins. It reaches
// the plugin with the request that boots it, and nested code by ctx.

// TellReceiving writes into a request how the actor that it boots receives.
func TellReceiving(b *wire.BootRequest, r dialog.Receiving) {
	b.Window = &wire.Window{Messages: uint32(r.Window.Messages), Bytes: uint64(r.Window.Bytes)}
	b.WindowMost, b.ReadyTimeout = uint32(r.Window.Most), int64(r.ReadyTimeout)
}

// mostRoom is what a window may have, of messages and of bytes.
const mostRoom = 1 << 30

// toldReceiving is how an actor receives that was booted by a request. The numbers are a peer's, and are
// cut to what a window may have.
func toldReceiving(b *wire.BootRequest) dialog.Receiving {
	return dialog.Receiving{
		Window: dialog.Window{
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
func WithReceiving(ctx context.Context, r dialog.Receiving) context.Context {
	return context.WithValue(ctx, receivingKey{}, r)
}

// ReceivingFrom is how the actor receives that runs the code under ctx; the defaults
// outside a plugin.
func ReceivingFrom(ctx context.Context) dialog.Receiving {
	r, _ := ctx.Value(receivingKey{}).(dialog.Receiving)
	return r
}
