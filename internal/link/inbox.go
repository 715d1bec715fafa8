package link

import (
	"fmt"
	"slices"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// reserved bounds the memory that a peer gets for announcing a payload, in bytes. Beyond that
// the memory grows as the pieces come, so that it is never far more than what was sent.
const reserved = 8 << 20

// assembler puts the pieces of large payloads together again. A peer may have one incomplete
// payload under way at a time, so its memory is bounded by one message. The link's reader owns
// it; there is no lock.
type assembler struct {
	limit   int         // bytes of a whole payload
	partial *wire.Frame // what has come of the incomplete one; nil if there is none
	// skipping is the dialog whose payload was over the limit: what is left of it
	// is dropped too.
	skipping *wire.Frame
}

// whole returns the complete frame that f is or completes, or nil if more pieces are to come.
// Pieces are copied, because their memory is the transport's. The last piece has all other
// fields of the frame, so that is the one that is returned. Whole frames of other dialogs, or
// of another kind, may come between two pieces and pass at once.
func (a *assembler) whole(f *wire.Frame) (*wire.Frame, error) {
	if isPiece(a.skipping, f) {
		if !f.More {
			a.skipping = nil
		}
		return nil, nil
	}
	continues := isPiece(a.partial, f)
	switch {
	case !continues && f.More && a.partial != nil:
		return nil, violation("a second payload in pieces (dialog %d) while that of dialog %d is incomplete", f.Dialog, a.partial.Dialog)
	case !continues && f.More:
		a.partial = &wire.Frame{Dialog: f.Dialog, Kind: f.Kind, Payload: wire.NewPayload(int(min(f.Total, uint64(a.limit), reserved)))[:0]}
	case !continues:
		if err := a.check(len(f.Payload)); err != nil {
			return nil, err
		}
		return f, nil
	}
	if err := a.check(len(a.partial.Payload) + len(f.Payload)); err != nil {
		if f.More {
			a.skipping = a.partial
			a.skipping.Payload = nil
		}
		a.partial = nil
		return nil, err
	}
	a.partial.Payload = append(a.partial.Payload, f.Payload...)
	if f.More {
		return nil, nil
	}
	f.Payload, a.partial = a.partial.Payload, nil
	if whole := f.Payload; cap(whole) > 2*len(whole) {
		// It was announced to be larger. That memory is not freed for others: a peer would
		// fill the pools with what it has only announced.
		f.Payload = slices.Clone(whole)
	}
	return f, nil
}

// isPiece reports whether f goes on with the payload that begun has begun.
func isPiece(begun, f *wire.Frame) bool {
	return begun != nil && begun.Dialog == f.Dialog && begun.Kind == f.Kind
}

func (a *assembler) check(size int) error {
	if size > a.limit {
		return violation("a payload of %d bytes or more; the limit is %d", size, a.limit)
	}
	return nil
}

func violation(format string, args ...any) error {
	return fmt.Errorf("%w: %s", fault.ErrProtocol, fmt.Sprintf(format, args...))
}
