package link

import "github.com/seed-2ba35074/trellis/internal/wire"

// batch is what goes out at once. Whoever writes owns it, and uses its memory for every batch; its
// parts point into the buffers in used, and into payloads that lie elsewhere.
type batch struct {
	parts    wire.Batch
	bytes    int
	frames   int
	payloads int            // bytes
	used     []*wire.Buffer // to be freed when it has gone
	aside    int            // so many of the parts, the first ones, go aside
	drained  bool           // an account is not congested any more
}

// takes reports whether a run of small frames may be added.
func (b *batch) takes(r *run) bool { return !r.aside || b.aside == len(b.parts) }

// add adds it.
func (b *batch) add(r *run) {
	if r.aside {
		b.aside++
	}
	b.append(r.small.Bytes(), r.small)
	b.frames += r.frames
	b.payloads += r.payloads
}

func (b *batch) append(part []byte, owner *wire.Buffer) {
	b.parts = append(b.parts, part)
	b.bytes += len(part)
	if owner != nil {
		b.used = append(b.used, owner)
	}
}

// addPiece adds the next piece of a large payload, of which offset bytes have gone. It
// returns how many have gone then, 0 if that was the last piece.
func (b *batch) addPiece(r *run, offset int) (int, error) {
	f, owner := r.large, (*wire.Buffer)(nil)
	payload := f.Payload[offset:]
	next := 0
	if len(payload) > fragment {
		f = &wire.Frame{Dialog: f.Dialog, Kind: f.Kind, More: true}
		if offset == 0 {
			f.Total = uint64(len(payload))
		}
		payload = payload[:fragment]
		next = offset + fragment
	} else {
		owner = r.owner // the last piece carries all other fields
	}
	f.Payload = payload
	head := wire.NewBuffer(0)
	encoded, err := wire.AppendFrameHead(head.AvailableBuffer(), f)
	if err != nil {
		return 0, err
	}
	_, _ = head.Write(encoded) // a buffer takes everything
	b.append(head.Bytes(), head)
	b.append(payload, owner)
	b.frames++
	b.payloads += len(payload)
	return next, nil
}

// advance leaves out the first n bytes, which have gone. It is for a batch that is cut off in the
// middle; the memory of parts before that is not used again.
func (b *batch) advance(n int) {
	b.bytes -= n
	for len(b.parts) > 0 && n >= len(b.parts[0]) {
		n -= len(b.parts[0])
		b.parts = b.parts[1:]
	}
	if n > 0 {
		b.parts[0] = b.parts[0][n:]
	}
}

// release lets go of everything, when the transport has sent it or never will.
func (b *batch) release() {
	for _, buffer := range b.used {
		buffer.Free()
	}
	clear(b.used)
	clear(b.parts)
	*b = batch{parts: b.parts[:0], used: b.used[:0]}
}
