package codecs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"

	"github.com/fxamacker/cbor/v2"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// Codec turns values into payloads and back. Marshal writes one into a buffer, which after an
// error may have some of it; Unmarshal takes a pointer. Codecs have no state and may be used by
// any number of goroutines. They call methods of the values' authors, so never under a lock.
//
// unfit, if it is not nil, says why values of a type cannot be sent. Marshal asks it about the
// types that are behind interfaces, that of v included.
type Codec interface {
	Name() string
	Marshal(to *wire.Buffer, v any, unfit func(reflect.Type) error) error
	Unmarshal(data []byte, v any) error
}

// The codecs of protocol version 1.
var (
	CBOR  Codec = cborCodec{}
	JSON  Codec = jsonCodec{}
	Proto Codec = protoCodec{}
)

// ByName returns the codec that a Start names. An unknown name is an error of that dialog
// alone: another program may know more codecs than this one.
func ByName(name string) (Codec, error) {
	for _, c := range []Codec{CBOR, JSON, Proto} {
		if c.Name() == name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("unknown payload codec %q; known are cbor, json and proto", name)
}

// Bounds of what is decoded. maxNesting, in levels, keeps a decoder's recursion from overflowing
// the stack; docs/protocol states it, since senders must know it too. maxJSONNesting is what
// encoding/json has set for its decoder. A payload is bounded itself, in bytes, and each element
// has at least one; so maxElements is only there because the CBOR decoder's own default is lower
// than what fits into a payload.
const (
	maxNesting     = 64
	maxJSONNesting = 10_000
	maxElements    = 1 << 26
)

// errEmpty is what no codec but proto takes for a value: it would read as io.EOF,
// which means something else to whoever receives from a stream.
var errEmpty = errors.New("the payload is empty")

// cborCodec is for plain Go types: the codec of every endpoint whose type is not a protobuf
// message (docs/decisions/cbor-with-fingerprints.md).
type cborCodec struct{}

// Structures keep the order of their fields, which is free, instead of a canonical one. A time is
// text with nanoseconds under tag 0: it keeps its zone, and other languages read it.
var cborEncode = must(cbor.EncOptions{
	Sort: cbor.SortNone, Time: cbor.TimeRFC3339Nano, TimeTag: cbor.EncTagRequired,
}.UserBufferEncMode())

// A Go string may hold any bytes, and what was sent is what arrives. Numbers of any size (tags 2
// and 3) are decoded only into types that have them: a long one takes time that grows with the
// square of its length, which a peer could otherwise cause wherever any value may be.
var (
	cborDecode        = decoder{decoding(cbor.BignumTagForbidden, texts), decoding(cbor.BignumTagForbidden, keys)}
	cborDecodeNumbers = decoder{decoding(cbor.BignumTagAllowed, texts), decoding(cbor.BignumTagAllowed, keys)}

	texts, keys = reflect.TypeFor[map[string]any](), reflect.TypeFor[map[any]any]()
)

// decoder decodes a mapping that is found where any value may be: as a map[string]any if the keys
// of all such mappings are texts, and else as a map[any]any. The first is what JSON gives, and
// what most code expects; the second is the only one that can hold the rest.
type decoder struct{ textKeys, anyKeys cbor.DecMode }

// decode tries text keys first, which nearly all mappings have. A misfit may be due to a mapping
// with other keys; then all of it is decoded once more into a value that is empty again. Where
// no part of the type may hold any value, a misfit is a misfit.
func (d decoder) decode(data []byte, v any) error {
	err := d.textKeys.Unmarshal(data, v)
	if _, misfit := errors.AsType[*cbor.UnmarshalTypeError](err); misfit && traitsOf(reflect.TypeOf(v)).any {
		reflect.ValueOf(v).Elem().SetZero()
		return d.anyKeys.Unmarshal(data, v)
	}
	return err
}

// decoding is one of them. A key that comes twice is an error,
// and keys match exactly, so that two readers never see two different values in one payload.
func decoding(numbers cbor.BignumTagMode, mapping reflect.Type) cbor.DecMode {
	return must(cbor.DecOptions{
		DefaultMapType: mapping,
		DupMapKey:      cbor.DupMapKeyEnforcedAPF, FieldNameMatching: cbor.FieldNameMatchingCaseSensitive, UTF8: cbor.UTF8DecodeInvalid, BignumTag: numbers,
		MaxNestedLevels: maxNesting, MaxArrayElements: maxElements, MaxMapPairs: maxElements,
	}.DecMode())
}

func (cborCodec) Name() string { return "cbor" }

// Marshal looks for a value without an end first, since the encoder would follow it until the
// stack overflows, which no recover catches.
func (cborCodec) Marshal(to *wire.Buffer, v any, unfit func(reflect.Type) error) error {
	if err := cborView.check(v, unfit); err != nil {
		return err
	}
	return cborEncode.MarshalToBuffer(v, &to.Buffer)
}

// EncodeCBOR is Marshal for a value that is known to have an end.
func EncodeCBOR(to *wire.Buffer, v any) error { return cborEncode.MarshalToBuffer(v, &to.Buffer) }

// Unmarshal looks for long numbers only if the type has a place for one; for all other types the
// decoder refuses every number of any size, and data need not be read twice.
func (cborCodec) Unmarshal(data []byte, v any) error {
	if len(data) == 0 {
		return errEmpty
	}
	if !traitsOf(reflect.TypeOf(v)).big {
		return cborDecode.decode(data, v)
	}
	if err := checkNumbers(data); err != nil {
		return err
	}
	return cborDecodeNumbers.decode(data, v)
}

// EncodeBytes is CBOR's Marshal of b, which is not nil. This and the next one are the short way
// for payloads that are bytes: no reflection, and one copy at most.
func EncodeBytes(b []byte) *wire.Buffer {
	to := wire.NewBuffer(longestHead + len(b))
	_, _ = to.Write(appendByteString(to.AvailableBuffer(), len(b))) // a buffer takes everything
	_, _ = to.Write(b)
	return to
}

// DecodeBytes is CBOR's Unmarshal into a []byte, of data that nobody else uses: the value
// stays where it is. It reports false if data is something else than one plain byte string;
// then Unmarshal says what.
//
// The length is compared with what there is, and never used to allocate. The value is
// clipped, so that an append to it does not write into memory behind it.
func DecodeBytes(data []byte) (b []byte, ok bool) {
	if len(data) == 0 {
		return nil, false
	}
	major, info, argument, rest := head(data)
	ok = major == majorBytes && info < reserved && argument == uint64(len(rest))
	return slices.Clip(rest), ok
}

// appendByteString puts the head of a byte string of n bytes, in the shortest form.
func appendByteString(b []byte, n int) []byte {
	if n < inBytes {
		return append(b, majorBytes<<5|byte(n))
	}
	power := 0 // the length has 2^power bytes
	for power < 3 && uint64(n)>>(8<<power) > 0 {
		power++
	}
	b = append(b, majorBytes<<5|byte(inBytes+power))
	for shift := 8<<power - 8; shift >= 0; shift -= 8 {
		b = append(b, byte(n>>shift))
	}
	return b
}

// jsonCodec is for calls that people make by hand, and for tools: the same types and names as
// CBOR, in a form that can be typed and read.
type jsonCodec struct{}

func (jsonCodec) Name() string { return "json" }

func (jsonCodec) Marshal(to *wire.Buffer, v any, unfit func(reflect.Type) error) error {
	if err := jsonView.check(v, unfit); err != nil {
		return err
	}
	return to.Append(json.Marshal(v))
}

// Unmarshal refuses fields that the type does not have: JSON is what people write
// by hand, and a typing error must not pass for a zero value. Where any value may be,
// a number is what CBOR makes of it there.
func (jsonCodec) Unmarshal(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(v); errors.Is(err, io.EOF) {
		return errEmpty
	} else if err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something after the JSON value")
	}
	return nativeNumbers(reflect.ValueOf(v))
}

// protoCodec is for payload types that are protobuf messages already. The empty payload is a valid
// one here: a message whose fields all have their zero values.
type protoCodec struct{}

func (protoCodec) Name() string { return "proto" }

func (protoCodec) Marshal(to *wire.Buffer, v any, _ func(reflect.Type) error) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is not a protobuf message", v)
	}
	return to.Append(proto.MarshalOptions{}.MarshalAppend(to.AvailableBuffer(), m))
}

func (protoCodec) Unmarshal(data []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is not a protobuf message", v)
	}
	return proto.Unmarshal(data, m)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // constant options
	}
	return v
}
