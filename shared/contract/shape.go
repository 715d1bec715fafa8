package contract

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"sort"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// The names that errors and shapes give to the parts of an endpoint.
const (
	arguments = "arguments"
	result    = "result"
	started   = "started"
	message   = "message" // callee → opener
	command   = "command" // opener → callee
)

// part is one of the types of an endpoint, with the name that errors give it.
type part struct {
	name string
	typ  reflect.Type
}

var (
	timeType    = reflect.TypeFor[time.Time]()
	messageType = reflect.TypeFor[proto.Message]()
	rawJSONType = reflect.TypeFor[json.RawMessage]()
)

// describe builds the signature of an endpoint. Its shape is a sorted list of
// lines "path type", which two ends can compare to name what differs. A line that
// begins with # is only told: the name of a Go type, or what may be left out.
func describe(name string, kind dialog.Kind, parts ...part) *signature {
	s := &signature{name: name, kind: kind, codec: "cbor"}
	var lines, notes, told []string
	for _, p := range parts {
		w := walkThrough(p)
		notes = append(notes, fmt.Sprintf("# %s %s", p.name, p.typ))
		told = append(told, w.told...)
		lines = append(lines, w.lines...)
		s.open = s.open || w.open
		if w.unfit != nil && s.unfit == nil {
			w.unfit.Endpoint = name
			s.unfit = w.unfit
		}
	}
	sort.Strings(lines)
	body := strings.Join(lines, "\n")
	sum := sha256.Sum256([]byte(dialog.KindName(kind) + "\n" + body))
	s.shape = strings.Join(append(notes, told...), "\n") + "\n" + body
	s.fingerprint = binary.BigEndian.Uint64(sum[:8]) | 1 // never 0
	return s
}

// walk goes through the types of one part of an endpoint. It writes down the shape, and
// finds the first type whose values an encoder would refuse, or whose content it would
// lose. It ends there: such an endpoint is neither called nor served.
type walk struct {
	part   part
	lines  []string
	told   []string              // of fields that may be left out: "#? path" of each, and "#+ path type" of what is in it
	within []reflect.Type        // the types that the walk is inside
	silent int                   // how many of them are fields that the shape leaves out
	left   int                   // how many of them are fields that may be left out
	seen   map[reflect.Type]bool // types that need no further look if there is no shape to write
	open   bool                  // there is an interface, and any value may be behind it
	unfit  *fault.ContractError
}

func walkThrough(p part) *walk {
	w := &walk{part: p, seen: map[reflect.Type]bool{}}
	w.enter(p.name, p.typ)
	return w
}

func (w *walk) line(path, typ string) {
	switch {
	case w.silent > 0:
	case w.left == 0:
		w.lines = append(w.lines, path+" "+typ)
	case !w.toldEnough():
		w.told = append(w.told, "#+ "+path+" "+typ)
	}
}

// mostTold bounds the lines about what is in fields that may be left out, in each part:
// their types may be large, and contain each other in many ways.
const mostTold = 256

// refuse ends the walk: t, which lies at path, cannot be sent. The first one counts.
func (w *walk) refuse(path string, t reflect.Type, why string) {
	if w.unfit != nil {
		return
	}
	_, field, _ := strings.Cut(strings.NewReplacer("?", "", "[]", "", "{}", "", "{key}", "").Replace(path), ".")
	w.unfit = &fault.ContractError{
		What: w.part.name, Want: "a type whose values can be encoded", Got: t.String(), Field: field, Detail: why,
	}
}

func (w *walk) enter(path string, t reflect.Type) {
	if leaf := leafName(t); leaf != "" {
		w.open = w.open || leaf == "any"
		w.line(path, leaf)
		return
	}
	if i := slices.Index(w.within, t); i >= 0 {
		w.line(path, fmt.Sprintf("^%d", len(w.within)-i)) // a recursive type
		return
	}
	if w.unfit != nil || (w.silent > 0 || w.left > 0 && w.toldEnough()) && w.seen[t] {
		return
	}
	w.seen[t] = true
	w.within = append(w.within, t)
	defer func() { w.within = w.within[:len(w.within)-1] }()
	switch t.Kind() {
	case reflect.Pointer:
		w.enter(path+"?", t.Elem())
	case reflect.Slice, reflect.Array:
		w.enter(path+"[]", t.Elem())
	case reflect.Map:
		w.enter(path+"{key}", t.Key())
		w.enter(path+"{}", t.Elem())
	case reflect.Struct:
		w.structure(path, t)
	default: // chan, func, complex, unsafe.Pointer
		w.refuse(path, t, "no encoding has that kind of value")
	}
}

func (w *walk) structure(path string, t reflect.Type) {
	w.line(path, "object")
	fields := appendCoded(nil, t, nil, nil)
	if len(fields) == 0 && hidesAll(t) {
		w.refuse(path, t, "its fields are not exported, so that their values would be lost; "+
			"export them, give it MarshalCBOR or MarshalBinary, or leave it out with the tag `json:\"-\"`")
		return
	}
	for i, f := range fields {
		w.field(path+"."+f.name, t, f, fields[:i])
	}
	for f := range t.Fields() { // what they bring along is checked above
		if f.Anonymous && codecs.Tag(f) == "" && f.Type.Kind() == reflect.Struct && leafName(f.Type) == "" && len(appendCoded(nil, f.Type, nil, nil)) == 0 && hidesAll(f.Type) {
			w.structure(path, f.Type)
		}
	}
}

// field goes into a field of t, which has those before it. One that hides another in Go is
// meant to; the shape leaves out what is hidden, and what may be left out of a payload.
func (w *walk) field(path string, t reflect.Type, f codedField, before []codedField) {
	own, unique := t.FieldByName(f.Name)
	twin := slices.IndexFunc(before, func(other codedField) bool { return other.name == f.name })
	if twin >= 0 && (before[twin].Name != f.Name || !unique) {
		w.refuse(path, t, fmt.Sprintf("its fields %s and %s both have that name, so that a value would be lost; rename one", before[twin].Name, f.Name))
		return
	}
	switch hidden := !unique || !slices.Equal(own.Index, f.index); {
	case hidden:
		w.silent++
		w.enter(path, f.Type)
		w.silent--
	case f.optional:
		w.mayBeLeft(path, f.Type)
	default:
		w.enter(path, f.Type)
	}
}

// mayBeLeft goes into a field that may be left out. What is in it is told whole, or not at all.
func (w *walk) mayBeLeft(path string, t reflect.Type) {
	if w.silent == 0 && (w.left == 0 || !w.toldEnough()) {
		w.told = append(w.told, "#? "+path)
	}
	before := len(w.told)
	w.left++
	w.enter(path, t)
	w.left--
	if w.left == 0 && w.toldEnough() {
		w.told = w.told[:before]
	}
}

// toldEnough reports whether what is in further fields that may be left out is not told.
func (w *walk) toldEnough() bool { return len(w.told) > mostTold }

// hidesAll reports whether all fields of a struct are private, and there are some. The
// encoder has a way of its own for a big.Int.
func hidesAll(t reflect.Type) bool {
	hidden := 0
	for f := range t.Fields() {
		if f.IsExported() || f.Anonymous {
			return false
		}
		if f.Name != "_" {
			hidden++
		}
	}
	return hidden > 0 && t != reflect.TypeFor[big.Int]()
}

// codedField is a field that an encoder looks at, with its name in a payload and its place
// in the struct that it is promoted to.
type codedField struct {
	reflect.StructField

	name     string
	optional bool
	index    []int
}

// appendCoded adds the fields that an encoder looks at, those of embedded structs included;
// t lies at index in the outermost one, and within are those around it.
func appendCoded(to []codedField, t reflect.Type, index []int, within []reflect.Type) []codedField {
	if slices.Contains(within, t) {
		return to // it embeds itself
	}
	within = append(within, t)
	for f := range t.Fields() {
		at := append(slices.Clone(index), f.Index...)
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		name, optional, skip := fieldName(f)
		switch {
		case !skip:
			to = append(to, codedField{f, name, optional, at})
		case f.Anonymous && codecs.Tag(f) == "" && inner.Kind() == reflect.Struct:
			to = appendCoded(to, inner, at, within)
		}
	}
	return to
}

// fieldName is a field's name in a payload, whether it may be left out of one, and whether
// no encoder looks at it by itself.
func fieldName(f reflect.StructField) (name string, optional, skip bool) {
	tag := codecs.Tag(f)
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
	if codecs.EncodesItself(t) {
		return t.String()
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
