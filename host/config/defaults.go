package config

import (
	"reflect"
	"strconv"
)

// WithDefaults returns a copy in which nothing that has a default is zero. Children
// stay as they are.
//
// Defaults are filled in where a value is used, and not where it is read. So a description that
// is sent on to another host says only what its author has said, and "was it given?" can be
// asked of it at any time: Check refuses a backoff where no restart is given.
func (a Actor) WithDefaults() Actor { return withDefaults(a) }

// WithDefaults returns a copy in which nothing that has a default is zero.
func (s Supervision) WithDefaults() Supervision { return withDefaults(s) }

// WithDefaults returns a copy in which nothing that has a default is zero.
func (t Telemetry) WithDefaults() Telemetry { return withDefaults(t) }

// withDefaults fills a struct's zero fields, and those of its structs, by their
// default tags.
func withDefaults[T any](config T) T {
	fill(reflect.ValueOf(&config).Elem())
	return config
}

// fill sets the zero fields of an addressable struct. It follows structs and nothing else: maps,
// slices and what pointers lead to are shared with the original.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		field, text := v.Field(i), v.Type().Field(i).Tag.Get("default")
		switch {
		case field.Kind() == reflect.Struct:
			fill(field)
		case text != "" && field.IsZero():
			field.Set(parsed(field.Type(), text))
		}
	}
}

// parsed is the value of a type that a tag describes. It panics at a tag that does not
// fit its field: tags are code.
func parsed(t reflect.Type, text string) reflect.Value {
	var err error
	v := reflect.New(t)
	switch to := v.Interface().(type) {
	case *Duration:
		err = to.UnmarshalText([]byte(text))
	case *Size:
		*to, err = ParseSize(text)
	case *int:
		*to, err = strconv.Atoi(text)
	case *bool:
		*to, err = strconv.ParseBool(text)
	default:
		v.Elem().SetString(text)
	}
	if err != nil {
		panic(err)
	}
	return v.Elem()
}
