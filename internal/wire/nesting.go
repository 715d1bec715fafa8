package wire

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// The CBOR encoder follows every pointer: a value that contains itself would
// overflow the stack, which ends the process. So values of types that can contain
// themselves are walked first; for all others one look into a cache says that
// there is nothing to do.

// errEndless is what a value without an end gives.
var errEndless = errors.New("the value contains itself")

// checkNesting refuses a value that has no end, or is nested more deeply than any receiver takes.
// The sender then hears of it where it encodes, and not from the peer.
func checkNesting(v any) error {
	value := reflect.ValueOf(v)
	if !value.IsValid() || !endless(value.Type()) {
		return nil // as with most, and without the walker's memory
	}
	w := nesting{left: maxElements}
	return w.enter(value, 0)
}

// maxPath bounds the pointers, maps and slices on the way to a value. A receiver does not see
// pointers, so there may be more of them than maxNesting; the bound keeps the walk's own
// recursion, and its search for the same value on the path, from becoming long.
const maxPath = 16 * maxNesting

// nesting walks one value. It lives for one checkNesting and belongs to its goroutine. A value
// that another goroutine changes meanwhile is a data race of its author's, here as in the encoder.
type nesting struct {
	path []reflect.Value // the pointers, maps and slices that the walk is inside
	left int             // values that it may still look at
}

// enter looks at one value and what is in it. levels counts what the receiver's decoder counts:
// maps, lists and structures. Pointers cost no level on the wire, but a chain of them can be
// long, so the path has a bound too. Types that cannot contain themselves are not entered.
func (w *nesting) enter(v reflect.Value, levels int) error {
	if !v.IsValid() || !endless(v.Type()) {
		return nil
	}
	if w.left--; w.left < 0 {
		return fmt.Errorf("the value has more than %d parts", maxElements)
	}
	switch v.Kind() {
	case reflect.Interface:
		return w.enter(v.Elem(), levels)
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if v.IsNil() {
			return nil
		}
		if w.inside(v) {
			return errEndless
		}
		w.path = append(w.path, v)
		defer func() { w.path = w.path[:len(w.path)-1] }()
	}
	if v.Kind() != reflect.Pointer {
		levels++
	}
	if levels > maxNesting || len(w.path) > maxPath {
		return fmt.Errorf("the value is nested more than %d levels deep, which no receiver accepts", maxNesting)
	}
	return w.parts(v, levels)
}

// inside reports whether the walk is inside the very thing that v refers to. A slice is the same
// only with the same length: a part of an array may well contain a shorter part of it. An
// empty slice contains nothing.
func (w *nesting) inside(v reflect.Value) bool {
	for _, outer := range w.path {
		if outer.Type() == v.Type() && outer.UnsafePointer() == v.UnsafePointer() && (v.Kind() != reflect.Slice || outer.Len() == v.Len() && v.Len() > 0) {
			return true
		}
	}
	return false
}

// parts enters what is directly in a value, as the encoder sees it: fields that it leaves out are
// left out, and the fields of an embedded structure lie on the level of the outer one.
func (w *nesting) parts(v reflect.Value, levels int) error {
	switch v.Kind() {
	case reflect.Pointer:
		return w.enter(v.Elem(), levels)
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if err := errors.Join(w.enter(it.Key(), levels), w.enter(it.Value(), levels)); err != nil {
				return err
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if err := w.enter(v.Index(i), levels); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for f, part := range v.Fields() {
			inner := levels
			if f.Anonymous {
				inner-- // its fields count as those of the outer one
			}
			if !coded(f) {
				continue
			}
			if err := w.enter(part, inner); err != nil {
				return err
			}
		}
	}
	return nil
}

// coded reports whether the encoder looks at a field. It follows the encoder's own rule: a cbor tag
// counts before a json tag, and an embedded type that is not exported may have fields that are.
func coded(f reflect.StructField) bool {
	tag, ok := f.Tag.Lookup("cbor")
	if !ok {
		tag = f.Tag.Get("json")
	}
	return (f.IsExported() || f.Anonymous) && tag != "-"
}

// endlessTypes remembers endless for each type that was ever encoded. The entries are never
// removed: a program has a limited number of types.
var endlessTypes sync.Map // reflect.Type to bool

// endless reports whether values of a type can contain themselves, as far as the
// type tells: it is recursive, or has an interface inside.
func endless(t reflect.Type) bool {
	if known, ok := endlessTypes.Load(t); ok {
		return known.(bool) //nolint:forcetypeassert // nothing else is stored
	}
	is := recursive(t, map[reflect.Type]visit{})
	endlessTypes.Store(t, is)
	return is
}

// visit is what a walk over types has seen of one.
type visit uint8

const (
	within visit = iota + 1 // the walk is inside it
	finite                  // nothing in it leads back, nor to an interface
)

// recursive looks at a type and all that it is made of. seen is of one walk. A type that has been
// left is finite, or the walk would have ended with true; it need not be looked at again, which
// keeps the walk linear in a type that many others share.
func recursive(t reflect.Type, seen map[reflect.Type]visit) bool {
	if seen[t] == finite || encodesItself(t) {
		return false
	}
	if seen[t] == within {
		return true
	}
	seen[t] = within
	is := recursiveBelow(t, seen)
	seen[t] = finite // else the whole walk is over
	return is
}

// recursiveBelow looks at what a type is made of. An interface may hold anything, also what it is
// itself a part of.
func recursiveBelow(t reflect.Type, seen map[reflect.Type]visit) bool {
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return recursive(t.Elem(), seen)
	case reflect.Map:
		return recursive(t.Key(), seen) || recursive(t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if coded(f) && recursive(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

// encodesItself reports whether the encoder leaves a type to its own method, or knows it by heart.
// What such a method does with its value is not followed. An interface with that method says
// nothing: the value in it may be of a type that contains itself.
func encodesItself(t reflect.Type) bool {
	if t == reflect.TypeFor[time.Time]() {
		return true
	}
	for _, custom := range []reflect.Type{reflect.TypeFor[cbor.Marshaler](), reflect.TypeFor[encoding.BinaryMarshaler]()} {
		if t.Implements(custom) || reflect.PointerTo(t).Implements(custom) {
			return t.Kind() != reflect.Interface
		}
	}
	return false
}
