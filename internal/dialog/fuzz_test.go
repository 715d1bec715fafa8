package dialog_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// FuzzLinkReader gives a link what a hostile peer may send: bytes that are decoded
// as a Packet, beside live dialogs of both sides. Nothing panics, nothing hangs,
// memory stays within the windows, and the other dialogs go on unless the peer is
// cut off with a reason.
func FuzzLinkReader(f *testing.F) {
	for _, c := range hostile {
		if seed, err := proto.Marshal(&wire.Packet{Frames: c.frames[:min(3, len(c.frames))]}); err == nil && len(seed) < 4<<10 {
			f.Add(seed)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p wire.Packet
		if len(b) > 64<<10 || proto.Unmarshal(b, &p) != nil || addresses(&p, echo, ours) {
			return
		}
		synctest.Test(t, func(t *testing.T) { withstand(t, p.Frames) })
	})
}

// addresses reports whether a packet means one of the dialogs that are to go on,
// or ends the link.
func addresses(p *wire.Packet, ids ...uint64) bool {
	for _, f := range p.Frames {
		if f.Kind == wire.Kind_KIND_BYE || f.More {
			return true // a piece that stays incomplete holds up the next one
		}
		if slices.Contains(ids, f.Dialog) {
			return true
		}
	}
	return false
}

func withstand(t *testing.T, frames []*wire.Frame) {
	r, call := besiege(t)
	// A context of ours, whose callee the peer plays.
	theirs := beside(func() error {
		return open(t.Context(), r.table, func(ctx context.Context, d *dialog.Dialog) error {
			s, err := d.OpenStream(dialog.StreamOptions{})
			for err == nil {
				_, err = s.Recv(ctx)
			}
			return ignoreEOF(err) // a callee that has returned interrupts nobody
		})
	})
	synctest.Wait()
	r.send(frame(4, wire.Kind_KIND_STARTED))
	for range 3 { // once more: what was early is late now
		r.send(frames...)
	}
	select {
	case <-r.table.Link().Done():
		if r.table.Link().Err() == nil {
			t.Error("the link was cut without a reason")
		}
	default:
		r.unharmed(call)
	}
	r.end.Abort()
	_, _ = call.wait(), theirs.wait()
}
