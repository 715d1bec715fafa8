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
	large      []byte // memory of a piece, to be used again
	next       int    // how much to read next at most, 0 for as much as there is room for
	full       bool   // the last read into buf has filled all that it was given
	known      names  // of endpoints and codecs, which the peer sends again and again
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
	return &PacketReader{from: from, buf: make([]byte, firstBuffer), known: names{}}
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
			if err := r.add().read(whole, r.own, r.known); err != nil {
				r.packet.Frames = r.packet.Frames[:len(r.packet.Frames)-1]
				r.broken = err
			}
			if len(r.packet.Frames) == mostFrames {
				return &r.packet, nil
			}
		case len(r.packet.Frames) > 0:
			return &r.packet, nil
		case head+frame > readBuffer:
			if err := r.readLarge(head, frame); err != nil {
				r.broken = err
				return nil, err
			}
			return &r.packet, nil
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

// NextNow is Next for a connection whose Read does not wait now. It gives nothing unless a whole frame has come, and leaves
// large ones to Next.
func (r *PacketReader) NextNow() (*Packet, error) {
	if !r.whole() {
		if err := r.fill(); err != nil || !r.whole() {
			return nil, err
		}
	}
	return r.Next()
}

// whole reports whether Next has something to give without reading more.
func (r *PacketReader) whole() bool {
	frame, head, err := r.peek()
	return err == nil && head > 0 && head+frame <= r.end-r.begin
}

// Empty reports whether Next has given all that was read.
func (r *PacketReader) Empty() bool { return r.begin == r.end }

// Ahead reports whether more has come than Next has given so far: a whole frame, or as much as the
// last read had room for, behind which there most likely is more.
func (r *PacketReader) Ahead() bool {
	return r.full || r.whole()
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
	room := buf[r.end:]
	if r.next > 0 {
		room = room[:min(r.next, len(room))]
	}
	r.next = 0
	n, err := r.from.Read(room)
	r.end += n
	r.full = n == len(room)
	switch {
	case n > 0:
		return nil
	case errors.Is(err, io.EOF) && r.end > 0:
		return io.ErrUnexpectedEOF
	}
	return err
}

// readLarge reads a frame that the buffer has no room for. Its payload goes straight to where it
// stays, if it is what the frame ends with, as in all that this package encodes. If it is a piece
// with more to come, the link copies it before the next call of Next, so that the memory serves
// for the next piece.
func (r *PacketReader) readLarge(head, size int) error {
	for r.end-r.begin < head+longestFields {
		if err := r.fill(); err != nil {
			return unexpected(err)
		}
	}
	r.begin += head
	f := r.add()
	fields, payload := splitFrame(r.buf[r.begin:r.end], size)
	if payload == 0 {
		return r.readScattered(f, size)
	}
	if err := f.read(r.buf[r.begin:r.begin+fields], r.own, r.known); err != nil {
		return err
	}
	r.begin += size - payload
	f.Payload = r.memory(f, payload)
	return r.readFull(f.Payload)
}

// longestFields is what the fields of a frame before its payload have of bytes, if there are no
// messages among them. A frame for readLarge is longer than that.
const longestFields = 64

// splitFrame finds the payload in a frame of size bytes of which the first ones are in b: fields
// bytes are before it. payload is its size, 0 if something may come behind it, or so much before
// it that it does not begin in b.
func splitFrame(b []byte, size int) (fields, payload int) {
	for rest := b; ; {
		number, kind, tag := protowire.ConsumeTag(rest)
		if tag < 0 {
			return 0, 0
		}
		if number == 3 && kind == protowire.BytesType {
			n, length := protowire.ConsumeVarint(rest[tag:])
			if length < 0 || n != uint64(size-fields-tag-length) {
				return 0, 0
			}
			return fields, int(n)
		}
		length := protowire.ConsumeFieldValue(number, kind, rest[tag:])
		if length < 0 {
			return 0, 0
		}
		fields += tag + length
		rest = rest[tag+length:]
	}
}

// readScattered reads a large frame whose payload may be anywhere in it.
func (r *PacketReader) readScattered(f *Frame, size int) error {
	b := make([]byte, size)
	if err := r.readFull(b); err != nil {
		return err
	}
	return f.read(b, func(_ *Frame, payload []byte) []byte { return keep(payload, size) }, r.known)
}

// readFull fills b with what has been read already, and then from the connection. A short last
// part comes by way of the buffer, with the beginning of what follows. That is most likely another
// large frame; so not more of it is read than its fields, and its payload need not be moved.
func (r *PacketReader) readFull(b []byte) error {
	for {
		r.next = firstBuffer
		n := copy(b, r.buf[r.begin:r.end])
		r.begin += n
		if b = b[n:]; len(b) == 0 {
			return nil
		}
		if len(b) < firstBuffer {
			if err := r.fill(); err != nil {
				return unexpected(err)
			}
			continue
		}
		n, err := r.from.Read(b)
		if n == 0 && err != nil {
			return unexpected(err)
		}
		b = b[n:]
	}
}

// unexpected is an error in the middle of a frame.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// memory is where a payload of this size goes. Messages of streams have memory that is used
// again when they have been read. Pieces do not stay.
func (r *PacketReader) memory(f *Frame, size int) []byte {
	switch {
	case f.More && size <= largestKept:
		if cap(r.large) < size {
			r.large = make([]byte, size)
		}
		return r.large[:size]
	case f.Kind == Kind_KIND_YIELD:
		return NewPayload(size)
	}
	return make([]byte, size)
}

// own copies a payload out of the buffer. Small ones share a slab, which saves most allocations of
// small messages; each is clipped, so that an append by its owner does not reach the next one.
func (r *PacketReader) own(f *Frame, payload []byte) []byte {
	switch {
	case len(payload) < ownSlab:
	case f.Kind == Kind_KIND_YIELD && !f.More:
		own := NewPayload(len(payload))
		copy(own, payload)
		return own
	default:
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
