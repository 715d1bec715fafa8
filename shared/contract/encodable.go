package contract

import (
	"fmt"
	"math/big"
	"reflect"
	"slices"

	"github.com/seed-2ba35074/trellis/shared/fault"
)

// unfit says why values of a part of an endpoint could not be sent, or would arrive
// without their content; nil if they can.
func unfit(endpoint string, p part) error {
	w := &lossy{seen: map[reflect.Type]bool{}}
	w.walk("", p.typ)
	if w.why == "" {
		return nil
	}
	return &fault.ContractError{
		Endpoint: endpoint, What: p.name, Want: "a type whose values can be encoded",
		Got: w.typ.String(), Field: w.field, Detail: w.why,
	}
}

// lossy walks a type until it finds something that an encoder would refuse or lose.
type lossy struct {
	seen map[reflect.Type]bool

	field, why string // of the first that it has found
	typ        reflect.Type
}

func (w *lossy) walk(path string, t reflect.Type) {
	if w.why != "" || w.seen[t] || t == reflect.TypeFor[big.Int]() || leafName(t) != "" {
		return // big.Int is the encoder's own
	}
	w.seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		w.walk(path, t.Elem())
	case reflect.Map:
		w.walk(path, t.Key())
		w.walk(path, t.Elem())
	case reflect.Struct:
		w.structure(path, t)
	default: // chan, func, complex, unsafe.Pointer
		w.found(path, t, "no encoding has that kind of value")
	}
}

func (w *lossy) found(path string, t reflect.Type, why string) { w.field, w.typ, w.why = path, t, why }

func (w *lossy) structure(path string, t reflect.Type) {
	fields := codedFields(t)
	if len(fields) == 0 && hidesAll(t) {
		w.found(path, t, "its fields are not exported, so that their values would be lost; "+
			"export them, give it MarshalCBOR or MarshalBinary, or leave it out with the tag `json:\"-\"`")
		return
	}
	for i, f := range fields {
		here := f.name
		if path != "" {
			here = path + "." + f.name
		}
		if j := slices.IndexFunc(fields[:i], func(other codedField) bool { return other.name == f.name }); j >= 0 && !shadowed(t, f, fields[j]) {
			w.found(here, t, fmt.Sprintf("its fields %s and %s both have that name, so that a value would be lost; rename one", fields[j].Name, f.Name))
			return
		}
		w.walk(here, f.Type)
	}
	for f := range t.Fields() { // what they bring along is checked above
		if f.Anonymous && tagOf(f) == "" && f.Type.Kind() == reflect.Struct && leafName(f.Type) == "" && len(codedFields(f.Type)) == 0 && hidesAll(f.Type) {
			w.structure(path, f.Type)
		}
	}
}

// hidesAll reports whether all fields of a struct are private, and there are some.
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
	return hidden > 0
}

// codedField is a field of a struct, or of one embedded in it, with its name in a payload.
type codedField struct {
	reflect.StructField

	name string
}

// shadowed reports whether one of two fields hides the other in Go, too: then it is meant.
func shadowed(t reflect.Type, a, b codedField) bool {
	_, unique := t.FieldByName(a.Name)
	return a.Name == b.Name && unique
}

// codedFields are those that an encoder looks at, the fields of embedded structs included.
func codedFields(t reflect.Type) []codedField { return appendCoded(nil, t, nil) }

func appendCoded(to []codedField, t reflect.Type, within []reflect.Type) []codedField {
	if slices.Contains(within, t) {
		return to // it embeds itself
	}
	within = append(within, t)
	for f := range t.Fields() {
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		name, _, skip := fieldName(f)
		switch {
		case !skip:
			to = append(to, codedField{f, name})
		case f.Anonymous && tagOf(f) == "" && inner.Kind() == reflect.Struct:
			to = appendCoded(to, inner, within)
		}
	}
	return to
}
