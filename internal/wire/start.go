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
			if err := checkStart(b); err != nil {
				return err
			}
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
	case number == 10 && v.kind == protowire.BytesType:
		ok = readWindow(&s.Window, v.bytes) == nil
	case number == 12 && v.kind == protowire.VarintType:
		s.Attached, ok = v.number != 0, true
	}
	return ok
}

// simple reports whether a Start has only what most have, which is encoded here.
func (s *Start) simple() bool {
	return s.Target == nil && s.Opener == nil && s.Overflow == 0 && s.Arguments == 0 && len(s.Metadata) == 0 && s.Traceparent == "" && s.Tracestate == "" &&
		utf8.ValidString(s.Endpoint) && utf8.ValidString(s.Codec)
}

// size is the encoded size of a Start.
func (s *Start) size() int {
	if !s.simple() {
		return proto.Size(s)
	}
	n := sizeText(1, s.Endpoint) + sizeVarint(2, uint64(s.Kind)) + sizeText(5, s.Codec) + sizeVarint(6, uint64(s.Timeout))
	if s.Fingerprint != 0 {
		n += protowire.SizeTag(4) + protowire.SizeFixed64()
	}
	if s.Window != nil {
		n += sizeMessage(10, s.Window.size())
	}
	if s.Attached {
		n += 2
	}
	return n + len(s.unknownFields)
}

// append encodes a Start, whose size has been taken, as field n.
func (s *Start) append(b []byte, n protowire.Number) ([]byte, error) {
	if !s.simple() {
		return appendMessage(b, n, s)
	}
	b = appendHead(b, n, s.size())
	b = appendText(b, 1, s.Endpoint)
	b = appendVarint(b, 2, uint64(s.Kind))
	if s.Fingerprint != 0 {
		b = protowire.AppendFixed64(protowire.AppendTag(b, 4, protowire.Fixed64Type), s.Fingerprint)
	}
	b = appendText(b, 5, s.Codec)
	b = appendVarint(b, 6, uint64(s.Timeout))
	if s.Window != nil {
		b = s.Window.append(appendHead(b, 10, s.Window.size()))
	}
	if s.Attached {
		b = appendVarint(b, 12, 1)
	}
	return append(b, s.unknownFields...), nil
}

func sizeText(n protowire.Number, text string) int {
	if text == "" {
		return 0
	}
	return sizeMessage(n, len(text))
}

func appendText(b []byte, n protowire.Number, text string) []byte {
	if text == "" {
		return b
	}
	return append(appendHead(b, n, len(text)), text...)
}

func (w *Window) size() int {
	return sizeVarint(1, uint64(w.Messages)) + sizeVarint(2, w.Bytes) + len(w.unknownFields)
}

func (w *Window) append(b []byte) []byte {
	b = appendVarint(b, 1, uint64(w.Messages))
	b = appendVarint(b, 2, w.Bytes)
	return append(b, w.unknownFields...)
}

// readWindow decodes a Window, as protobuf merges it into what is there; fields that it
// does not have are left to protobuf, with all that come behind them.
func readWindow(into **Window, b []byte) error {
	if *into == nil {
		*into = new(Window)
	}
	w := *into
	for len(b) > 0 {
		number, v, rest, err := field(b)
		switch {
		case err == nil && number == 1 && v.kind == protowire.VarintType:
			w.Messages = uint32(v.number) // as protobuf cuts it
		case err == nil && number == 2 && v.kind == protowire.VarintType:
			w.Bytes = v.number
		default:
			return proto.UnmarshalOptions{Merge: true}.Unmarshal(b, w)
		}
		b = rest
	}
	return nil
}
