package contract

import (
	"bytes"
	"fmt"
	"reflect"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// encode makes a payload of one part of an endpoint, in memory that is given away.
func encode[T any](s *signature, codec, what string, v T) (*wire.Buffer, error) {
	if s.unfit != nil {
		return nil, s.unfit
	}
	if plain, ok := plainBytes(codec, v); ok {
		return codecs.EncodeBytes(plain), nil
	}
	b := wire.NewScratch()
	if err := marshal(b, codec, v, s.unfitBehind(what)); err != nil {
		b.Free()
		if unfit, ok := err.(*fault.ContractError); ok { //nolint:errorlint // an author's method may have wrapped one
			return nil, unfit
		}
		return nil, &fault.ContractError{
			Endpoint: s.name, What: what, Want: "a value that can be encoded",
			Got: fmt.Sprintf("%T", v), Detail: err.Error(),
		}
	}
	return b, nil
}

// answer is the payload of what a handler has returned. Its memory is given to the dialog.
func answer[T any](s *signature, d *dialog.Dialog, v T) ([]byte, error) {
	b, err := encode(s, d.Request().Codec, result, v)
	if err != nil {
		return nil, err
	}
	return d.Own(b), nil
}

// plainBytes gives a value that has a way of its own to be encoded.
func plainBytes[T any](codec string, v T) (b []byte, ok bool) {
	b, ok = any(v).([]byte)
	return b, ok && b != nil && codec == codecs.CBOR.Name()
}

func marshal(b *wire.Buffer, codec string, v any, unfit func(reflect.Type) error) error {
	if m, ok := v.(proto.Message); ok {
		if codec == "json" {
			return b.Append(protojson.MarshalOptions{}.MarshalAppend(b.AvailableBuffer(), m))
		}
		return codecs.Proto.Marshal(b, m, unfit)
	}
	c, err := codecs.ByName(codec)
	if err != nil {
		return err
	}
	return c.Marshal(b, v, unfit)
}

// decode reads a payload of one part of an endpoint.
func decode[T any](s *signature, codec, what string, payload []byte) (v T, err error) {
	if err = unmarshal(codec, payload, &v); err == nil {
		return v, nil
	}
	var zero T
	return zero, misfit(s.name, what, reflect.TypeFor[T](), err)
}

// receive decodes a payload that is nobody else's. With lend, bytes stay where they lie, and
// whoever has the value may free the payload, as a whole and later. Without, the value is good
// for ever, and the payload is freed here, unless the value may be a part of it.
func receive[T any](s *signature, codec, what string, payload []byte, lend bool) (v T, err error) {
	again := !lend && wire.Pooled(payload)
	v, ok := decodeBytes[T](codec, payload, again)
	if !ok {
		v, err = decode[T](s, codec, what, payload)
		again = again && err == nil && codecs.Copies(codec, reflect.TypeFor[T]())
	}
	if again {
		wire.FreePayload(payload)
	}
	return v, err
}

// decodeBytes decodes a byte string for a T that is []byte: a copy, or what lies in the payload.
func decodeBytes[T any](codec string, payload []byte, copied bool) (v T, ok bool) {
	into, ok := any(&v).(*[]byte)
	if !ok || codec != codecs.CBOR.Name() {
		return v, false
	}
	*into, ok = codecs.DecodeBytes(payload)
	if copied {
		*into = bytes.Clone(*into)
	}
	return v, ok
}

func unmarshal[T any](codec string, payload []byte, v *T) error {
	if t := reflect.TypeFor[T](); t.Implements(messageType) && t.Kind() == reflect.Pointer {
		reflect.ValueOf(v).Elem().Set(reflect.New(t.Elem()))
		m, _ := any(*v).(proto.Message)
		if codec == "json" {
			return protojson.Unmarshal(payload, m)
		}
		return proto.Unmarshal(payload, m)
	}
	c, err := codecs.ByName(codec)
	if err != nil {
		return err
	}
	return c.Unmarshal(payload, v)
}
