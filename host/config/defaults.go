package config

import (
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// WithDefaults returns a copy in which nothing that has a default is zero. Children
// stay as they are.
func (a Actor) WithDefaults() Actor { return withDefaults(a) }

// WithDefaults returns a copy in which nothing that has a default is zero.
func (s Supervision) WithDefaults() Supervision { return withDefaults(s) }

// withDefaults fills a struct's zero fields, and those of its structs, by their
// default tags.
func withDefaults[T any](config T) T {
	fill(reflect.ValueOf(&config).Elem())
	return config
}

func fill(v reflect.Value) {
	for i := range v.NumField() {
		field, text := v.Field(i), v.Type().Field(i).Tag.Get("default")
		switch {
		case field.Kind() == reflect.Struct:
			fill(field)
		case text != "" && field.IsZero():
			setDefault(field, text)
		}
	}
}

// setDefault panics at a tag that does not fit its field: tags are code.
func setDefault(field reflect.Value, text string) {
	var err error
	switch {
	case field.Type() == durationType:
		var d time.Duration
		d, err = time.ParseDuration(text)
		field.SetInt(int64(d))
	case field.Type() == sizeType:
		var size Size
		size, err = ParseSize(text)
		field.SetInt(int64(size))
	case field.Kind() == reflect.Int:
		var number int
		number, err = strconv.Atoi(text)
		field.SetInt(int64(number))
	case field.Kind() == reflect.Bool:
		var yes bool
		yes, err = strconv.ParseBool(text)
		field.SetBool(yes)
	case field.Kind() == reflect.String:
		field.SetString(text)
	default:
		err = fmt.Errorf("no default can be given to %s", field.Type())
	}
	if err != nil {
		panic(err)
	}
}
