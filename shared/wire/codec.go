// Package wire is the trellis.v1 protocol: the shapes that go over a link, the
// codecs of the payloads inside them, and the conversions between both and the
// rest of the program. PROTOCOL.md, in this folder, says what the frames mean.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"
	"google.golang.org/protobuf/proto"
)

// Version is the protocol version that this package speaks. Another one is refused.
const Version = 1

// Codec turns values into payloads and back. Unmarshal takes a pointer.
type Codec interface {
	Name() string
	Marshal(v any) ([]byte, error)
	Unmarshal(data []byte, v any) error
}

// The codecs of protocol version 1.
var (
	CBOR  Codec = cborCodec{}
	JSON  Codec = jsonCodec{}
	Proto Codec = protoCodec{}
)

// CodecByName returns the codec that a Start names.
func CodecByName(name string) (Codec, error) {
	for _, c := range []Codec{CBOR, JSON, Proto} {
		if c.Name() == name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("unknown payload codec %q; known are cbor, json and proto", name)
}

// Bounds of what is decoded. A payload is bounded itself, in bytes; the number of
// elements is only there because the decoder's own bound is lower than that.
const (
	maxNesting  = 64
	maxElements = 1 << 26
)

// errEmpty is what no codec but proto takes for a value: it would read as io.EOF,
// which means something else to whoever receives from a stream.
var errEmpty = errors.New("the payload is empty")

type cborCodec struct{}

var cborEncode = must(cbor.EncOptions{
	Sort: cbor.SortNone, Time: cbor.TimeRFC3339Nano, TimeTag: cbor.EncTagRequired,
}.EncMode())

// A Go string may hold any bytes, and what was sent is what arrives.
var cborDecode = must(cbor.DecOptions{
	DupMapKey: cbor.DupMapKeyEnforcedAPF, UTF8: cbor.UTF8DecodeInvalid,
	MaxNestedLevels: maxNesting, MaxArrayElements: maxElements, MaxMapPairs: maxElements,
}.DecMode())

func (cborCodec) Name() string { return "cbor" }

func (cborCodec) Marshal(v any) ([]byte, error) {
	if err := checkNesting(v); err != nil {
		return nil, err
	}
	return cborEncode.Marshal(v)
}

func (cborCodec) Unmarshal(data []byte, v any) error {
	if len(data) == 0 {
		return errEmpty
	}
	return cborDecode.Unmarshal(data, v)
}

type jsonCodec struct{}

func (jsonCodec) Name() string                  { return "json" }
func (jsonCodec) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

// Unmarshal refuses fields that the type does not have: JSON is what people write
// by hand, and a typing error must not pass for a zero value.
func (jsonCodec) Unmarshal(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); errors.Is(err, io.EOF) {
		return errEmpty
	} else if err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something after the JSON value")
	}
	return nil
}

type protoCodec struct{}

func (protoCodec) Name() string { return "proto" }

func (protoCodec) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no protobuf message", v)
	}
	return proto.Marshal(m)
}

func (protoCodec) Unmarshal(data []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no protobuf message", v)
	}
	return proto.Unmarshal(data, m)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // constant options
	}
	return v
}
