package fault

import (
	"errors"
	"fmt"
	"iter"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// The fields of typed errors are coded as payloads are: times keep their
// nanoseconds, and a Go string may hold any bytes. Numbers of any size are refused: what
// decoding costs must not grow faster than what came.
var (
	detailEncode = must(cbor.EncOptions{Time: cbor.TimeRFC3339Nano, TimeTag: cbor.EncTagRequired}.EncMode())
	detailDecode = newDetailDecode(reflect.TypeFor[map[string]any]())
	// detailDecodeKeys is for mappings with keys that are not texts, in an any.
	detailDecodeKeys = newDetailDecode(reflect.TypeFor[map[any]any]())
)

func newDetailDecode(mapping reflect.Type) cbor.DecMode {
	return must(cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid, BignumTag: cbor.BignumTagForbidden, DefaultMapType: mapping}.DecMode())
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // constant options
	}
	return v
}

// marshal encodes a typed error's fields.
func marshal(v any) (b []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // an author's MarshalCBOR
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	values := maxValues
	if !finite(reflect.ValueOf(v), maxNesting, &values) {
		return nil, errors.New("they are too large, too deep or contain themselves")
	}
	return detailEncode.Marshal(v)
}

// unmarshal reads a typed error's fields.
func unmarshal(data []byte, v any) (err error) {
	defer func() {
		if p := recover(); p != nil { // an author's UnmarshalCBOR
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	err = detailDecode.Unmarshal(data, v)
	if _, misfit := errors.AsType[*cbor.UnmarshalTypeError](err); misfit {
		reflect.ValueOf(v).Elem().SetZero()
		err = detailDecodeKeys.Unmarshal(data, v)
	}
	return err
}

// Bounds of a typed error's fields. The nesting counts pointers, too, so that it
// is well above what a decoder takes.
const (
	maxNesting = 64
	maxValues  = 64 << 10
)

// finite reports whether a value has an end: the encoder follows every pointer,
// and one that leads back would crash the process.
func finite(v reflect.Value, nesting int, values *int) bool {
	if *values--; nesting == 0 || *values < 0 {
		return false
	}
	for part := range within(v) {
		if !finite(part, nesting-1, values) {
			return false
		}
	}
	return true
}

// within gives the values directly inside v that may have others inside.
func within(v reflect.Value) iter.Seq[reflect.Value] {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return func(yield func(reflect.Value) bool) { _ = v.IsNil() || yield(v.Elem()) }
	case reflect.Slice, reflect.Array:
		return elements(v)
	case reflect.Map:
		return func(yield func(reflect.Value) bool) {
			for it := v.MapRange(); it.Next() && yield(it.Key()) && yield(it.Value()); {
			}
		}
	case reflect.Struct:
		return fields(v)
	}
	return func(func(reflect.Value) bool) {}
}

// elements leaves out numbers and texts: there may be many, and nothing is below.
func elements(v reflect.Value) iter.Seq[reflect.Value] {
	return func(yield func(reflect.Value) bool) {
		if k := v.Type().Elem().Kind(); k <= reflect.Complex128 || k == reflect.String {
			return
		}
		for i := 0; i < v.Len() && yield(v.Index(i)); i++ {
		}
	}
}

func fields(v reflect.Value) iter.Seq[reflect.Value] {
	return func(yield func(reflect.Value) bool) {
		for f, value := range v.Fields() {
			if (f.IsExported() || f.Anonymous) && !yield(value) {
				return
			}
		}
	}
}
