package wire

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// MaxFrame is the largest frame that an end must take, in bytes: a piece, and one
// with the largest error that is made.
const MaxFrame = 8 << 20

// PacketReader reads packets that come one after the other, as if they were one that never ends.
// It belongs to one goroutine, the link's reader, and needs no end of its own: it holds nothing
// but memory. Once something has come that is not a frame it reads no further, since it would
// not know where the next frame begins.
type PacketReader struct {
	from io.Reader
	buf  []byte
	// What has been read and not parsed lies in buf between begin and end.
	begin, end int
	packet     Packet // the one that Next has returned; its frames are used again
	slab       []byte // free memory that the next small payloads are copied into
	large      []byte // memory of a frame that had no room in buf, to be used again
	broken     error  // why what comes cannot be read; nil while it can
}

// Sizes of a PacketReader, in bytes, apart from mostFrames. They weigh memory against system
// calls and allocations: a full buffer takes a batch of small messages at once; a slab is so
// small because one payload that is kept for long keeps all of it.
const (
	readBuffer  = 64 << 10
	firstBuffer = 4 << 10   // which becomes a readBuffer when it has been full
	slabSize    = 1 << 10   // kept alive by any payload in it
	ownSlab     = 256       // payloads from this size on have memory of their own
	mostFrames  = 64        // of one packet, and kept for the next one
	largestKept = 256 << 10 // of what is used again
)

// NewPacketReader makes a reader.
func NewPacketReader(from io.Reader) *PacketReader {
	return &PacketReader{from: from, buf: make([]byte, firstBuffer)}
}

// Next waits for a frame, and gives it with those that have come at the same time. The
// packet, its frames, and payloads with more to come, are valid until the next call; other
// payloads and messages inside frames stay. It reads from the connection only while it has no
// whole frame: those that are there must not wait for one that is on its way. Frames that came
// before something unreadable are given first, and the error with the next call.
func (r *PacketReader) Next() (*Packet, error) {
	for _, f := range r.packet.Frames {
		f.clear() // nothing is kept in memory while this waits
	}
	r.packet.Frames = r.packet.Frames[:0]
	for r.broken == nil {
		frame, head, err := r.peek()
		switch {
		case err != nil:
			r.broken = err
		case head > 0 && head+frame <= r.end-r.begin:
			whole := r.buf[r.begin+head : r.begin+head+frame]
			r.begin += head + frame
			if err := r.add().read(whole, r.own); err != nil {
				r.packet.Frames = r.packet.Frames[:len(r.packet.Frames)-1]
				r.broken = err
			}
			if len(r.packet.Frames) == mostFrames {
				return &r.packet, nil
			}
		case len(r.packet.Frames) > 0:
			return &r.packet, nil
		case head+frame > readBuffer:
			return r.readLarge(head, frame)
		default:
			if err := r.fill(); err != nil {
				return nil, err
			}
		}
	}
	if len(r.packet.Frames) > 0 {
		return &r.packet, nil // what came before is whole
	}
	return nil, r.broken
}

// add gives the packet one frame more. Frames of earlier packets are used again, cleared by Next.
func (r *PacketReader) add() *Frame {
	n := len(r.packet.Frames)
	if n == cap(r.packet.Frames) {
		r.packet.Frames = append(r.packet.Frames, nil)
	}
	r.packet.Frames = r.packet.Frames[:n+1]
	if r.packet.Frames[n] == nil {
		r.packet.Frames[n] = new(Frame)
	}
	return r.packet.Frames[n]
}

// peek reads what comes before the next frame: a tag and the frame's size. head is how many bytes
// that has, 0 if not all of it has come. A size that is cut off in the middle is told from one
// that never ends by its length: a varint has ten bytes at most.
func (r *PacketReader) peek() (frame, head int, err error) {
	b := r.buf[r.begin:r.end]
	if len(b) == 0 {
		return 0, 0, nil
	}
	if b[0] != frameTag {
		return 0, 0, fmt.Errorf("the next frame begins with the byte %#x, expected %#x", b[0], frameTag)
	}
	size, n := protowire.ConsumeVarint(b[1:])
	if n < 0 {
		if err := protowire.ParseError(n); !errors.Is(err, io.ErrUnexpectedEOF) || len(b) > protowire.SizeVarint(1<<63) {
			return 0, 0, fmt.Errorf("the size of the next frame cannot be read: %w", err)
		}
		return 0, 0, nil
	}
	if size > MaxFrame {
		return 0, 0, fmt.Errorf("the next frame has %d bytes, the limit is %d", size, MaxFrame)
	}
	return int(size), 1 + n, nil
}

// fill reads more into the buffer, after moving what is left to its beginning. The buffer begins
// small, since most links are idle most of the time, and becomes a full one when it was too
// small once. An end of the stream in the middle of a frame is unexpected, one between two is not.
func (r *PacketReader) fill() error {
	buf := r.buf
	if r.end == len(buf) && len(buf) < readBuffer {
		buf = make([]byte, readBuffer)
	}
	r.end = copy(buf, r.buf[r.begin:r.end])
	r.begin, r.buf = 0, buf
	n, err := r.from.Read(r.buf[r.end:])
	r.end += n
	switch {
	case n > 0:
		return nil
	case errors.Is(err, io.EOF) && r.end > 0:
		return io.ErrUnexpectedEOF
	}
	return err
}

// readLarge reads a frame that the buffer has no room for, straight into memory of its size. The
// payload may stay there. If it is a piece with more to come, the link copies it before the next
// call of Next, so that the memory serves for the next piece.
func (r *PacketReader) readLarge(head, size int) (*Packet, error) {
	b := r.large
	if cap(b) < size || cap(b) > 2*size {
		b = make([]byte, size)
	}
	b, r.large = b[:size], nil
	n := copy(b, r.buf[r.begin+head:r.end])
	r.begin, r.end = 0, 0
	if _, err := io.ReadFull(r.from, b[n:]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	f := r.add()
	own := func(payload []byte) []byte { return keep(payload, size) }
	if err := f.read(b, own); err != nil {
		return nil, err
	}
	if f.More && size <= largestKept {
		r.large = b
	}
	return &r.packet, nil
}

// own copies a payload out of the buffer. Small ones share a slab, which saves most allocations of
// small messages; each is clipped, so that an append by its owner does not reach the next one.
func (r *PacketReader) own(payload []byte) []byte {
	if len(payload) >= ownSlab {
		return slices.Clone(payload)
	}
	if len(payload) > len(r.slab) {
		r.slab = make([]byte, slabSize)
	}
	n := copy(r.slab, payload)
	own := slices.Clip(r.slab[:n])
	r.slab = r.slab[n:]
	return own
}
