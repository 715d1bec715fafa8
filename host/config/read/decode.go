package read

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/words"
)

var (
	durationType = reflect.TypeFor[config.Duration]()
	sizeType     = reflect.TypeFor[config.Size]()
)

// Numbers have the form that JSON gives them, everywhere in a file. One that is printed
// has in addition no exponent and no zeros at the end of a fraction.
var (
	numberForm    = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	printedNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?$`)
)

// decodeInto fills a tree from a whole file.
func (r *reader) decodeInto(root *node, tree *config.Tree) {
	r.decode(root, reflect.ValueOf(tree).Elem())
}

// decode fills one value and reports what does not fit. A value that was refused
// already stays empty.
func (r *reader) decode(n *node, v reflect.Value) {
	switch {
	case n.refused:
		return
	case v.Type() == durationType:
		r.decodeDuration(n, v)
		return
	case v.Type() == sizeType:
		r.decodeSize(n, v)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.decode(n, v.Elem())
	case reflect.Struct:
		r.decodeFields(n, v)
	case reflect.Map:
		r.decodeMap(n, v)
	case reflect.Slice:
		r.decodeList(n, v)
	case reflect.Int:
		r.decodeInt(n, v)
	case reflect.Bool:
		r.decodeBool(n, v)
	case reflect.String:
		r.decodeText(n, v)
	case reflect.Interface:
		if value := r.anything(n); value != nil {
			v.Set(reflect.ValueOf(value))
		}
	default: // the struct is ours
		panic(fmt.Sprintf("%s: nothing here reads a %s", n.path(), v.Type()))
	}
}

// anything is a value as JSON knows it: keys are texts, and so are dates.
func (r *reader) anything(n *node) any {
	switch {
	case n.refused:
		return nil
	case n.kind == mapping:
		m := make(map[string]any, len(n.items))
		for _, item := range n.items {
			m[item.key] = r.anything(item)
		}
		return m
	case n.kind == list:
		values := make([]any, len(n.items))
		for i, item := range n.items {
			values[i] = r.anything(item)
		}
		return values
	}
	switch n.tag {
	case tagInt, tagFloat:
		if !numberForm.MatchString(n.text) {
			r.refuse(n, "expected a number as JSON has it, in decimal digits without zeros in front, or a text in quotes, got %s", words.Quote(n.text))
			return nil
		}
		return json.Number(n.text)
	case tagBool:
		return strings.EqualFold(n.text, "true")
	case tagNull:
		return nil
	}
	return n.text
}

func (r *reader) decodeInt(n *node, v reflect.Value) {
	number, err := strconv.Atoi(n.text)
	if n.kind != scalar || n.tag != tagInt || !numberForm.MatchString(n.text) || err != nil {
		r.refuse(n, "expected a whole number in decimal digits, got %s", n.describe())
		return
	}
	v.SetInt(int64(number))
}

func (r *reader) decodeBool(n *node, v reflect.Value) {
	if n.kind != scalar || n.tag != tagBool {
		r.refuse(n, "expected true or false, got %s", n.describe())
		return
	}
	v.SetBool(strings.EqualFold(n.text, "true"))
}

func (r *reader) decodeText(n *node, v reflect.Value) {
	if !n.isText() {
		r.refuse(n, "expected a text, got %s", n.describe())
		return
	}
	v.SetString(n.text)
}

func (r *reader) decodeDuration(n *node, v reflect.Value) {
	d, err := time.ParseDuration(n.text)
	if !n.isText() || err != nil || d <= 0 {
		r.refuse(n, "expected a duration above zero such as 500ms, 5s or 1m30s, got %s", n.describe())
		return
	}
	v.SetInt(int64(d))
}

func (r *reader) decodeSize(n *node, v reflect.Value) {
	size, err := config.ParseSize(n.text)
	if !n.isText() || err != nil {
		r.refuse(n, "expected a size such as 512MiB, 1.5GiB or 1GB, got %s", n.describe())
		return
	}
	v.SetInt(int64(size))
}

// isText reports whether a scalar can be read as text: whatever YAML would take it for,
// unless that was written as a tag.
func (n *node) isText() bool {
	return n.kind == scalar && n.tag != tagNull && (!n.tagged || n.tag == tagText)
}

func (r *reader) decodeFields(n *node, v reflect.Value) {
	if n.kind != mapping {
		r.refuse(n, "expected a mapping with the keys %s, got %s", strings.Join(keysOf(v.Type()), ", "), n.describe())
		return
	}
	for _, item := range n.items {
		field, ok := fieldOf(v.Type(), item.key)
		if !ok {
			r.unknown(item, v.Type())
			continue
		}
		value := v.FieldByIndex(field.Index)
		r.decode(item, value)
		if value.IsZero() && !item.refused {
			r.refuseZero(item, field)
		}
	}
}

// refuseZero refuses what was written and would be taken for the default, or for
// nothing.
func (r *reader) refuseZero(n *node, field reflect.StructField) {
	instead := field.Tag.Get("zero")
	if instead == "" {
		instead = "to set none, leave the key out"
	}
	switch field.Type.Kind() {
	case reflect.Int, reflect.Int64:
		r.refuse(n, "expected a number above zero, got %s; %s", n.describe(), instead)
	case reflect.Interface:
		r.refuse(n, "expected a value, got nothing; %s", instead)
	case reflect.String:
		if field.Tag.Get("empty") != "ok" {
			r.refuse(n, "expected a text, it is empty")
		}
	default:
	}
}

func (r *reader) unknown(n *node, t reflect.Type) {
	keys := keysOf(t)
	hint := words.DidYouMean(n.key, keys)
	if hint == "" {
		hint = "; the keys here are " + strings.Join(keys, ", ")
	}
	r.note(n.keyAt, n, "unknown key%s", hint)
}

func (r *reader) decodeMap(n *node, v reflect.Value) {
	if n.kind != mapping {
		r.refuse(n, "expected a mapping, got %s", n.describe())
		return
	}
	if len(n.items) > 0 { // an empty one is as good as none
		v.Set(reflect.MakeMap(v.Type()))
	}
	for _, item := range n.items {
		value := reflect.New(v.Type().Elem()).Elem()
		r.decode(item, value)
		v.SetMapIndex(reflect.ValueOf(item.key), value)
	}
}

func (r *reader) decodeList(n *node, v reflect.Value) {
	if n.kind != list {
		r.refuse(n, "expected a list, got %s", n.describe())
		return
	}
	if len(n.items) > 0 {
		v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	}
	for i, item := range n.items {
		r.decode(item, v.Index(i))
	}
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for f := range t.Fields() {
		if f.Tag.Get("yaml") == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func keysOf(t reflect.Type) []string {
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i] = t.Field(i).Tag.Get("yaml")
	}
	return keys
}
