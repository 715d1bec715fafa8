package wire

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// names are texts that a peer sends again and again, those of endpoints and codecs, so that each
// is made once. They belong to a [PacketReader] and end with it. There are at most mostNames of at
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

// readStart decodes a START, and reports whether it has only what those of calls have. If it has
// more, or is not as it should be, protobuf reads all of it again, over what is here already, and
// says what is wrong.
func (f *Frame) readStart(b []byte, known names) bool {
	if f.Start != nil {
		return false // this one is to be merged with it
	}
	f.Start = new(Start)
	for len(b) > 0 {
		n, v, rest, err := field(b)
		if err != nil || !f.Start.readField(n, v, known) {
			return false
		}
		b = rest
	}
	return true
}

// readField reports whether the field is one of a call, with a value of its kind.
func (s *Start) readField(n protowire.Number, v value, known names) (ok bool) {
	kind := protowire.VarintType
	switch n {
	case 1, 5:
		kind = protowire.BytesType
	case 4:
		kind = protowire.Fixed64Type
	}
	if ok = v.kind == kind; !ok {
		return false
	}
	switch n {
	case 1:
		s.Endpoint, ok = known.text(v.bytes)
	case 2:
		s.Kind = EndpointKind(int32(v.number)) // as protobuf cuts enums
	case 4:
		s.Fingerprint = v.number
	case 5:
		s.Codec, ok = known.text(v.bytes)
	case 6:
		s.Timeout = int64(v.number)
	case 12:
		s.Attached = v.number != 0
	case 13:
		s.Overflow = Overflow(int32(v.number)) // the same
	case 14:
		s.Arguments = v.number
	default:
		return false
	}
	return ok
}
