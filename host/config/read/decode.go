package read

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/words"
)

// Numbers have the form that JSON gives them, everywhere in a file. One that is printed
// has in addition no exponent and no zeros at the end of a fraction.
//
// YAML has more: 010 is eight in its older version and ten in the newer one, and 0x10, 1_000, .inf
// and .nan are numbers too. Nobody should have to know which of these a parser follows.
var (
	numberForm    = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	printedNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?$`)
)

// decode fills one value and reports what does not fit. What is refused stays empty: the
// Check of the tree then finds no fault with it, and asks [node.Find] before it concludes
// anything from its absence.
//
// The YAML parser's own decoding is not used. Its errors have neither columns nor paths, it takes
// every form of a number that YAML has, and what goes into an any becomes a float64.
func (r *reader) decode(n *node, v reflect.Value) { //nolint:cyclop // one case for each type
	if !r.settle(n) {
		return
	}
	switch to := v.Addr().Interface().(type) {
	case *config.Duration:
		d, err := time.ParseDuration(n.text)
		if r.expect(n, n.isText() && err == nil && d > 0, "a duration above zero such as 500ms, 5s or 1m30s") {
			*to = config.Duration(d)
		}
	case *config.Size:
		size, err := config.ParseSize(n.text)
		if r.expect(n, n.isText() && err == nil, "a size such as 512MiB, 1.5GiB or 1GB") {
			*to = size
		}
	case *int:
		number, err := strconv.Atoi(n.text)
		expected := "a whole number in decimal digits"
		if n.tag == tagText && numberForm.MatchString(n.text) {
			expected += " and without quotes"
		}
		if r.expect(n, n.tag == tagInt && numberForm.MatchString(n.text) && err == nil, expected) {
			*to = number
		}
	case *bool:
		if r.expect(n, n.tag == tagBool, "true or false") {
			*to = strings.EqualFold(n.text, "true")
		}
	case *any:
		*to = r.anything(n)
	default:
		r.decodeKind(n, v)
	}
}

// decodeKind fills a value of which only the kind matters: texts are of many types. Which words a
// text may be is for the Check of the tree, as it is for a description in Go.
//
// A list or mapping whose items are refused is filled all the same. The positions and keys in it
// are then those of the file, by which [node.Find] is asked.
func (r *reader) decodeKind(n *node, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if r.expect(n, n.isText(), "a text") {
			v.SetString(r.said(n))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.decode(n, v.Elem())
	case reflect.Struct:
		r.decodeFields(n, v)
	case reflect.Map:
		if r.expect(n, n.kind == yaml.MappingNode, "a mapping such as {a: b}") && len(n.items) > 0 { // an empty one is as good as none
			v.Set(reflect.MakeMap(v.Type()))
			for _, item := range n.items {
				value := reflect.New(v.Type().Elem()).Elem()
				r.decode(item, value)
				v.SetMapIndex(reflect.ValueOf(item.key), value)
			}
		}
	case reflect.Slice:
		expected := "a list"
		if v.Type().Elem().Kind() == reflect.String {
			expected = "a list such as [a, b]"
		}
		if r.expect(n, n.kind == yaml.SequenceNode, expected) && len(n.items) > 0 {
			v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
			for i, item := range n.items {
				r.decode(item, v.Index(i))
			}
		}
	default: // the struct is ours
		panic(fmt.Sprintf("%s: nothing here reads a %s", n.path(), v.Type()))
	}
}

// said is a text, with or without the variables in it.
func (r *reader) said(n *node) string {
	if r.raw && n.raw != "" {
		return n.raw
	}
	return n.text
}

// expect refuses a value unless it is what was expected. Every decoder reports by it, so that each
// problem has the same form: what was expected, and what came.
func (r *reader) expect(n *node, fits bool, expected string) bool {
	if !fits {
		r.refuse(n, "expected %s, got %s", expected, n.describe())
	}
	return fits
}

// isText reports whether a scalar can be read as text: whatever YAML would take it for. Where
// a text is expected, 1.10, true and 2024-01-01 are what was written, letter by letter.
func (n *node) isText() bool { return n.kind == yaml.ScalarNode && n.tag != tagNull }

// anything is a value as JSON knows it: keys are texts, and so are dates. Numbers keep
// their digits, since an endpoint may take more of them than a float64 has. What comes out can be
// encoded as JSON and as CBOR, whichever the endpoint's codec is.
func (r *reader) anything(n *node) any {
	if !r.settle(n) {
		return nil
	}
	switch n.tag {
	case tagMap:
		m := make(map[string]any, len(n.items))
		for _, item := range n.items {
			m[item.key] = r.anything(item)
		}
		return m
	case tagList:
		values := make([]any, len(n.items))
		for i, item := range n.items {
			values[i] = r.anything(item)
		}
		return values
	case tagInt, tagFloat:
		if !numberForm.MatchString(n.text) {
			r.refuse(n, "expected a number as JSON has it, in decimal digits without zeros in front, or a text in quotes, got %s", words.Quote(n.text))
		}
		return json.Number(n.text)
	case tagBool:
		return strings.EqualFold(n.text, "true")
	case tagNull:
		return nil
	}
	return n.text
}

// decodeFields fills a struct. The yaml tags of its fields are the keys of the mapping, so
// that the types of package config are all that is said about what a file can have.
func (r *reader) decodeFields(n *node, v reflect.Value) {
	if n.kind != yaml.MappingNode {
		r.expect(n, false, "a mapping with the keys "+strings.Join(keysOf(v.Type()), ", "))
		return
	}
	for _, item := range n.items {
		field, ok := fieldOf(v.Type(), item.key)
		if !ok {
			r.unknown(item, keysOf(v.Type()))
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
// nothing: in the types of package config a zero field is one that was left out. The field's
// tags say what to write instead, and where an empty text is meant as such.
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

// unknown reports a key that nothing reads, with the key that was meant, or with all that
// there are. What stands below it is not looked at, since nothing says what it should be.
func (r *reader) unknown(n *node, keys []string) {
	hint := words.DidYouMean(n.key, keys)
	if hint == "" {
		hint = "; the keys here are " + strings.Join(keys, ", ")
	}
	r.report(n.keyAt, n, "unknown key%s", hint)
}

// fieldOf finds a struct's field by its key in a file. The tag "-" is for what only Go code sets,
// and must not be found by a key that is called "-".
func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for f := range t.Fields() {
		if f.Tag.Get("yaml") == key && key != "-" {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func keysOf(t reflect.Type) (keys []string) {
	for f := range t.Fields() {
		keys = append(keys, f.Tag.Get("yaml"))
	}
	return slices.DeleteFunc(keys, func(key string) bool { return key == "-" }) // what a file cannot say
}
