package contract

import (
	"cmp"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/dialog"
)

// part is one of the types of an endpoint, with the name that errors give it.
type part struct {
	name string
	typ  reflect.Type
}

// describe builds the signature of an endpoint. Its shape is a sorted list of
// lines "path type", which two ends can compare to name what differs; a line that
// begins with # only tells people the name of a Go type.
func describe(name string, kind dialog.Kind, parts ...part) *signature {
	var lines, notes []string
	var unsendable error
	for _, p := range parts {
		unsendable = cmp.Or(unsendable, unfit(name, p))
		notes = append(notes, fmt.Sprintf("# %s %s", p.name, p.typ))
		lines = append(lines, (&shaper{}).lines(p.name, p.typ)...)
	}
	sort.Strings(lines)
	body := strings.Join(lines, "\n")
	sum := sha256.Sum256([]byte(dialog.KindName(kind) + "\n" + body))
	return &signature{
		name: name, kind: kind, codec: "cbor", unfit: unsendable,
		shape:       strings.Join(notes, "\n") + "\n" + body,
		fingerprint: binary.BigEndian.Uint64(sum[:8]) | 1, // never 0
	}
}

// shaper walks one type.
type shaper struct {
	path []reflect.Type // the types that the walk is inside
}

var (
	timeType      = reflect.TypeFor[time.Time]()
	messageType   = reflect.TypeFor[proto.Message]()
	rawJSONType   = reflect.TypeFor[json.RawMessage]()
	customEncoder = []reflect.Type{reflect.TypeFor[cbor.Marshaler](), reflect.TypeFor[encoding.BinaryMarshaler]()}
)

func (s *shaper) lines(path string, t reflect.Type) []string {
	if leaf := leafName(t); leaf != "" {
		return []string{path + " " + leaf}
	}
	for i, outer := range s.path {
		if outer == t {
			return []string{fmt.Sprintf("%s ^%d", path, len(s.path)-i)} // a recursive type
		}
	}
	s.path = append(s.path, t)
	defer func() { s.path = s.path[:len(s.path)-1] }()
	switch t.Kind() {
	case reflect.Pointer:
		return s.lines(path+"?", t.Elem())
	case reflect.Slice, reflect.Array:
		return s.lines(path+"[]", t.Elem())
	case reflect.Map:
		return append(s.lines(path+"{key}", t.Key()), s.lines(path+"{}", t.Elem())...)
	case reflect.Struct:
		return s.fields(path, t)
	}
	return []string{path + " " + t.String()} // chan and func: encoding refuses them
}

func (s *shaper) fields(path string, t reflect.Type) []string {
	lines := []string{path + " object"}
	for _, f := range reflect.VisibleFields(t) {
		name, optional, skip := fieldName(f)
		if skip || optional || len(f.Index) > 1 && !promoted(t, f) {
			continue
		}
		lines = append(lines, s.lines(path+"."+name, f.Type)...)
	}
	return lines
}

// promoted reports whether every struct on the way to f is embedded without a
// name of its own, so that f is a field of the outer object.
func promoted(t reflect.Type, f reflect.StructField) bool {
	for i := 1; i < len(f.Index); i++ {
		if outer := t.FieldByIndex(f.Index[:i]); !outer.Anonymous || tagOf(outer) != "" {
			return false
		}
	}
	return true
}

func tagOf(f reflect.StructField) string {
	if tag, ok := f.Tag.Lookup("cbor"); ok {
		return tag
	}
	return f.Tag.Get("json")
}

func fieldName(f reflect.StructField) (name string, optional, skip bool) {
	tag := tagOf(f)
	if tag == "-" || !f.IsExported() || f.Anonymous && tag == "" {
		return "", false, true
	}
	name, options, _ := strings.Cut(tag, ",")
	if name == "" {
		name = f.Name
	}
	for option := range strings.SplitSeq(options, ",") {
		optional = optional || option == "omitempty" || option == "omitzero"
	}
	return name, optional, false
}

// leafName is the name of a type that has nothing below it, else "".
func leafName(t reflect.Type) string {
	switch {
	case t == timeType:
		return "time"
	case t == rawJSONType:
		return "json"
	case t.Implements(messageType):
		m, _ := reflect.TypeAssert[proto.Message](reflect.Zero(t))
		return "protobuf " + string(m.ProtoReflect().Descriptor().FullName())
	case t.Kind() == reflect.Interface:
		return "any"
	}
	for _, custom := range customEncoder {
		if t.Implements(custom) || reflect.PointerTo(t).Implements(custom) {
			return t.String()
		}
	}
	switch k := t.Kind(); k {
	case reflect.Bool, reflect.String:
		return k.String()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "int"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return "uint"
	case reflect.Float32, reflect.Float64:
		return "float"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
	}
	return ""
}

// difference names the first field in which two shapes differ, and what each has
// there; "" for a side that lacks it.
func difference(want, got string) (field, wantType, gotType string) {
	w, g := fieldsOf(want), fieldsOf(got)
	var paths []string
	for path := range w {
		paths = append(paths, path)
	}
	for path := range g {
		if _, both := w[path]; !both {
			paths = append(paths, path)
		}
	}
	sort.Strings(paths)
	for _, path := range paths {
		if w[path] != g[path] {
			return path, w[path], g[path]
		}
	}
	return "", "", ""
}

func fieldsOf(shape string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(shape) {
		line = strings.TrimSpace(line)
		if path, typ, ok := strings.Cut(line, " "); ok && path != "#" {
			fields[path] = typ
		}
	}
	return fields
}

// goType finds the Go type that a shape notes for a part, such as "arguments".
func goType(shape, part string) string {
	for line := range strings.Lines(shape) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "# "+part+" "); ok {
			return rest
		}
	}
	return "unknown"
}
