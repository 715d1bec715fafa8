package wire

import (
	"cmp"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// names are texts that a peer sends again and again, those of endpoints, codecs and actors, so that
// each is made once. They belong to a [PacketReader] and end with it. There are at most mostNames of at
// most longestName bytes, 16 KiB of text, whatever a peer sends: a name beyond that is made anew each
// time that it comes. A peer that fills them with names it never repeats slows only its own calls.
type names map[string]string

const (
	mostNames   = 256
	longestName = 64
)

// text is a text that came; ok is false if it is not UTF-8. A nil names keeps nothing.
func (known names) text(b []byte) (s string, ok bool) {
	if s, ok = known[string(b)]; ok {
		return s, true
	}
	s = string(b)
	ok = utf8.ValidString(s)
	if ok && known != nil && len(known) < mostNames && len(s) <= longestName {
		known[s] = s
	}
	return s, ok
}

// each calls take with one field after the other, and reports whether it has taken all of them. One that take
// does not know, or that cannot be read, ends it: the message is protobuf's then, which knows all fields and
// says what is wrong.
func each(b []byte, take func(n protowire.Number, v value) (ok bool)) bool {
	for len(b) > 0 {
		n, v, rest, err := field(b)
		if err != nil || !take(n, v) {
			return false
		}
		b = rest
	}
	return true
}

// readStart decodes a START, and reports whether it has only what most of them have. If it has
// more, or is not as it should be, protobuf reads all of it again, over what is here already, and
// says what is wrong.
func (f *Frame) readStart(b []byte, known names) bool {
	if f.Start != nil {
		return false // this one is to be merged with it
	}
	f.Start = new(Start)
	return each(b, func(n protowire.Number, v value) bool {
		return v.kind == startKind(n) && f.Start.readField(n, v, known)
	})
}

// readField reads a value of the kind that the field has, and reports whether it is one of most STARTs.
func (s *Start) readField(n protowire.Number, v value, known names) (ok bool) { //nolint:cyclop // a case for each field
	ok = true
	switch n {
	case 1:
		s.Endpoint, ok = known.text(v.bytes)
	case 2:
		s.Kind = EndpointKind(int32(v.number)) // as protobuf cuts enums
	case 3:
		ok = readAddress(&s.Target, v.bytes, known)
	case 4:
		s.Fingerprint = v.number
	case 5:
		s.Codec, ok = known.text(v.bytes)
	case 6:
		s.Timeout = int64(v.number)
	case 8:
		s.TraceHigh = v.number
	case 9:
		s.TraceLow = v.number
	case 10:
		ok = readWindow(&s.Window, v.bytes)
	case 11:
		ok = readAddress(&s.Opener, v.bytes, known)
	case 12:
		s.Attached = v.number != 0
	case 13:
		s.Overflow = Overflow(int32(v.number)) // the same
	case 14:
		s.Arguments = v.number
	case 15:
		s.Span = v.number
	case 16:
		s.Sampled = v.number != 0
	case 17: // not a name, as each trace may have another one
		s.Tracestate, ok = string(v.bytes), utf8.Valid(v.bytes)
	default:
		return false
	}
	return ok
}

// startKind is how the values of a field of START are encoded.
func startKind(n protowire.Number) protowire.Type {
	switch n {
	case 1, 3, 5, 10, 11, 17:
		return protowire.BytesType
	case 4, 8, 9, 15:
		return protowire.Fixed64Type
	}
	return protowire.VarintType
}

// start writes a START as a field. Those with metadata, or with fields of a later version, are left to protobuf,
// which takes several times as long.
func (e *encoder) start(n protowire.Number, s *Start) {
	if s == nil || len(s.Metadata) > 0 || len(s.unknownFields) > 0 {
		e.message(n, s, s != nil)
		return
	}
	e.b = append(protowire.AppendTag(e.b, n, protowire.BytesType), 0)
	at := len(e.b)
	e.text(1, s.Endpoint)
	e.number(2, uint64(s.Kind))
	e.message(3, s.Target, s.Target != nil)
	e.fixed(4, s.Fingerprint)
	e.text(5, s.Codec)
	e.number(6, uint64(s.Timeout))
	e.fixed(8, s.TraceHigh)
	e.fixed(9, s.TraceLow)
	e.message(10, s.Window, s.Window != nil)
	e.message(11, s.Opener, s.Opener != nil)
	e.flag(12, s.Attached)
	e.number(13, uint64(s.Overflow))
	e.number(14, s.Arguments)
	e.fixed(15, s.Span)
	e.flag(16, s.Sampled)
	e.text(17, s.Tracestate)
	e.close(at, 0)
}

func (e *encoder) fixed(n protowire.Number, v uint64) {
	if v != 0 {
		e.b = protowire.AppendFixed64(protowire.AppendTag(e.b, n, protowire.Fixed64Type), v)
	}
}

func (e *encoder) text(n protowire.Number, s string) {
	if s == "" {
		return
	}
	if !utf8.ValidString(s) {
		e.err = cmp.Or(e.err, fmt.Errorf("field %d of a START is not UTF-8: %q", n, s))
	}
	e.b = protowire.AppendString(protowire.AppendTag(e.b, n, protowire.BytesType), s)
}

// readAddress is for an address that there is not yet. It and its actor lie in one piece of memory, since
// each START that is relayed has two of them: with protobuf, and all texts made anew each time, they
// are ten allocations of its thirteen.
func readAddress(at **Address, b []byte, known names) bool {
	if *at != nil {
		return false // to be merged with it
	}
	both := new(struct {
		Address
		Identity
	})
	*at = &both.Address
	return each(b, func(n protowire.Number, v value) (ok bool) {
		switch {
		case n == 1 && v.kind == protowire.BytesType:
			both.Path, ok = known.text(v.bytes)
		case n == 2 && v.kind == protowire.BytesType && both.Actor == nil:
			both.Actor = &both.Identity
			ok = each(v.bytes, func(n protowire.Number, v value) bool { return both.readField(n, v, known) })
		case n == 3 && v.kind == protowire.VarintType:
			both.Joined, ok = v.number != 0, true
		}
		return ok
	})
}

// readField is the same for an identity. An actor's name and uuid come again with each of its calls, and so
// are kept as the names of endpoints are.
func (x *Identity) readField(n protowire.Number, v value, known names) (ok bool) {
	switch {
	case n == 1 && v.kind == protowire.BytesType:
		x.Name, ok = known.text(v.bytes)
	case n == 2 && v.kind == protowire.BytesType:
		x.Uuid, ok = known.text(v.bytes)
	case n == 3 && v.kind == protowire.VarintType:
		x.Pid, ok = int64(v.number), true
	}
	return ok
}

// readWindow is the same for the window that contexts announce. Without it each context would be left to
// protobuf, which takes half as long again for all of its START.
func readWindow(at **Window, b []byte) bool {
	if *at != nil {
		return false
	}
	w := new(Window)
	*at = w
	return each(b, func(n protowire.Number, v value) bool {
		switch {
		case n == 1 && v.kind == protowire.VarintType:
			w.Messages = uint32(v.number)
		case n == 2 && v.kind == protowire.VarintType:
			w.Bytes = v.number
		default:
			return false
		}
		return true
	})
}
