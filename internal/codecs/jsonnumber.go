package codecs

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// The JSON decoder makes a float64, or a json.Number, of a number where any value may
// be. The one is another number beyond 2^53, and the other a text to every encoder but
// JSON's. So the decoder gives json.Numbers, and each becomes what CBOR gives for it.

// nativeNumbers does that in a value that was decoded. It does not look into types without a place
// for any value, nor into those that decode themselves: what they hold is their author's.
func nativeNumbers(v reflect.Value) error {
	if !traitsOf(v.Type()).any || reflect.PointerTo(v.Type()).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return nil
	}
	switch v.Kind() {
	case reflect.Interface:
		return nativeInterface(v)
	case reflect.Pointer:
		if !v.IsNil() {
			return nativeNumbers(v.Elem())
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			value := reflect.New(v.Type().Elem()).Elem() // those in a map cannot be changed
			value.Set(it.Value())
			if err := nativeNumbers(value); err != nil {
				return err
			}
			v.SetMapIndex(it.Key(), value)
		}
	default:
		for part := range inside(v, jsonTag) {
			if err := nativeNumbers(part); err != nil {
				return err
			}
		}
	}
	return nil
}

// nativeInterface changes a number where any value may be. Other values there are maps and lists
// that the decoder has made, which are looked into, too.
func nativeInterface(v reflect.Value) error {
	if v.IsNil() {
		return nil
	}
	number, ok := reflect.TypeAssert[json.Number](v)
	if !ok {
		return nativeNumbers(v.Elem())
	}
	native, err := nativeNumber(number.String())
	if err != nil {
		return err
	}
	v.Set(reflect.ValueOf(native))
	return nil
}

// nativeNumber is a uint64 for a whole number, an int64 for one below zero, and else a float64:
// the types that the CBOR decoder gives where any value may be. It refuses what none of them can
// hold, instead of rounding it.
func nativeNumber(text string) (native any, err error) {
	switch {
	case strings.ContainsAny(text, ".eE"):
		native, err = strconv.ParseFloat(text, 64)
	case strings.HasPrefix(text, "-"):
		native, err = strconv.ParseInt(text, 10, 64)
	default:
		native, err = strconv.ParseUint(text, 10, 64)
	}
	if err != nil {
		return nil, fmt.Errorf("number %.30q is too large for a value of any type; give it a type, such as json.Number", text)
	}
	return native, nil
}
