package fault

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// The fields of typed errors are coded as payloads are: times keep their
// nanoseconds, and a Go string may hold any bytes.
var (
	detailEncode = must(cbor.EncOptions{Time: cbor.TimeRFC3339Nano, TimeTag: cbor.EncTagRequired}.EncMode())
	detailDecode = must(cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid}.DecMode())
)

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
	return detailDecode.Unmarshal(data, v)
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
	below := func(v reflect.Value) bool { return finite(v, nesting-1, values) }
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return v.IsNil() || below(v.Elem())
	case reflect.Slice, reflect.Array:
		if k := v.Type().Elem().Kind(); k <= reflect.Complex128 || k == reflect.String {
			return true // numbers and texts, nothing below
		}
		for i := range v.Len() {
			if !below(v.Index(i)) {
				return false
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if !below(it.Key()) || !below(it.Value()) {
				return false
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); (f.IsExported() || f.Anonymous) && !below(v.Field(i)) {
				return false
			}
		}
	}
	return true
}
