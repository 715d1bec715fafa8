package wire

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// names keeps texts that come again and again: a link has few endpoints and codecs.
type names map[string]string

// Bounds of names.
const (
	mostNames   = 256
	longestName = 64 // bytes
)

// of gives the text in b; ok is false if it is none.
func (n names) of(b []byte) (text string, ok bool) {
	if known, ok := n[string(b)]; ok {
		return known, true
	}
	if !utf8.Valid(b) {
		return "", false
	}
	text = string(b)
	if n != nil && len(n) < mostNames && len(b) <= longestName {
		n[text] = text
	}
	return text, true
}

// read decodes a Start, as protobuf merges it into what is there. Fields that most have not
// are left to protobuf, with all that come behind them.
func (s *Start) read(b []byte, n names) error {
	for len(b) > 0 {
		number, v, rest, err := field(b)
		if err != nil || !s.readField(number, v, n) {
			return proto.UnmarshalOptions{Merge: true}.Unmarshal(b, s)
		}
		b = rest
	}
	return nil
}

func (s *Start) readField(number protowire.Number, v value, n names) (ok bool) {
	switch {
	case number == 1 && v.kind == protowire.BytesType:
		s.Endpoint, ok = n.of(v.bytes)
	case number == 2 && v.kind == protowire.VarintType:
		s.Kind, ok = EndpointKind(int32(v.number)), true // as protobuf cuts enums
	case number == 4 && v.kind == protowire.Fixed64Type:
		s.Fingerprint, ok = v.number, true
	case number == 5 && v.kind == protowire.BytesType:
		s.Codec, ok = n.of(v.bytes)
	case number == 6 && v.kind == protowire.VarintType:
		s.Timeout, ok = int64(v.number), true
	}
	return ok
}
