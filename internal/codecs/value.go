package codecs

import (
	"encoding"
	"encoding/json"
	"fmt"
	"iter"
	"math/big"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Encoders follow every pointer: a value that contains itself would overflow the stack, which ends
// the process. So values of types that can contain themselves are walked first; for all others
// one look into a cache says that there is nothing to do.

// traits are what must be known of a type before a value of it is encoded or decoded.
type traits struct {
	any     bool // there may be a place for any value inside: an interface
	decodes bool // there may be a part inside that decodes itself, with a method of its author's
	big     bool // there may be a number of any size inside
	endless bool // it may contain itself: it is recursive, or has an interface inside
}

// knownTraits are those of every type that was ever asked about. The entries are never removed: a
// program has a limited number of types, and each is asked about for every payload.
var knownTraits sync.Map // reflect.Type to traits

func traitsOf(t reflect.Type) traits {
	if known, ok := knownTraits.Load(t); ok {
		return known.(traits) //nolint:forcetypeassert // nothing else is stored
	}
	var is traits
	is.look(typeStep{t, true}, map[typeStep]bool{})
	knownTraits.Store(t, is)
	return is
}

// typeStep is a type on the way through another one. What a type does that encodes itself, or
// what is in a field that is left out, is not followed by an encoder, but may be by a decoder.
type typeStep struct {
	reflect.Type

	followed bool
}

// look goes through a type and all that it is made of. within is true for the steps that the walk
// is inside of, and false for those that it has left, which need not be looked at again.
func (is *traits) look(at typeStep, within map[typeStep]bool) {
	inside, seen := within[at]
	is.endless = is.endless || inside && at.followed
	if seen {
		return
	}
	within[at] = true
	is.decodes = is.decodes || decodesItself(at.Type)
	is.lookInto(at, at.followed && !EncodesItself(at.Type), within)
	within[at] = false
}

// lookInto looks at what a type is made of; followed is about the steps to it.
func (is *traits) lookInto(at typeStep, followed bool, within map[typeStep]bool) {
	switch at.Kind() {
	case reflect.Interface: // it may hold anything, also what it is itself a part of
		is.any, is.endless = true, is.endless || followed
	case reflect.Pointer, reflect.Slice, reflect.Array:
		is.look(typeStep{at.Elem(), followed}, within)
	case reflect.Map:
		is.look(typeStep{at.Key(), followed}, within)
		is.look(typeStep{at.Elem(), followed}, within)
	case reflect.Struct:
		is.big = is.big || at.Type == reflect.TypeFor[big.Int]()
		for f := range at.Fields() {
			if f.IsExported() || f.Anonymous {
				is.look(typeStep{f.Type, followed && Tag(f) != "-"}, within)
			}
		}
	}
}

// EncodesItself reports whether the encoder leaves a type to its own method, or knows it by heart.
// An interface with that method says nothing: the value in it may be of a type that contains
// itself.
func EncodesItself(t reflect.Type) bool {
	if t == reflect.TypeFor[time.Time]() {
		return true
	}
	return hasMethod(t, reflect.TypeFor[cbor.Marshaler](), reflect.TypeFor[encoding.BinaryMarshaler]())
}

// decodesItself reports whether the decoder gives what a type is decoded from to its own method.
func decodesItself(t reflect.Type) bool {
	return t != reflect.TypeFor[time.Time]() && hasMethod(t, reflect.TypeFor[cbor.Unmarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler]())
}

// Copies reports whether values of a type never share memory with the payload that they were
// decoded from. All decoders copy what they decode; a method of an author's might keep what it
// was given, although it must not.
func Copies(codec string, t reflect.Type) bool {
	return codec != CBOR.Name() || !traitsOf(t).decodes
}

// hasMethod reports whether a type that is not an interface, or a pointer to it, implements one
// of these.
func hasMethod(t reflect.Type, interfaces ...reflect.Type) bool {
	return t.Kind() != reflect.Interface && slices.ContainsFunc(interfaces, func(i reflect.Type) bool {
		return t.Implements(i) || reflect.PointerTo(t).Implements(i)
	})
}

// Tag is the tag that says how a field is coded: a cbor tag counts before a json tag.
func Tag(f reflect.StructField) string {
	if tag, ok := f.Tag.Lookup("cbor"); ok {
		return tag
	}
	return f.Tag.Get("json")
}

// jsonTag is the tag that says how the JSON encoder and decoder take a field.
func jsonTag(f reflect.StructField) string { return f.Tag.Get("json") }

// view is what an encoder sees of a value, and how many levels of it its receivers take.
type view struct {
	levels int
	tag    func(reflect.StructField) string
	leaves []reflect.Type // values that implement one of these it leaves to their authors; nil: traits know them
}

var (
	cborView = view{maxNesting, Tag, nil}
	jsonView = view{maxJSONNesting, jsonTag, []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()}}
)

// check refuses a value that has no end, or is nested more deeply than any receiver takes: the
// sender then hears of it where it encodes, and not from the peer. What unfit says of the types
// behind interfaces, which nobody can know before there is a value, is refused as well.
func (s view) check(v any, unfit func(reflect.Type) error) error {
	if v == nil || unfit == nil && !traitsOf(reflect.TypeOf(v)).endless {
		return nil // as with most, and without the walk's memory
	}
	w := walk{view: s, unfit: unfit, left: maxElements}
	return w.enter(reflect.ValueOf([]any{v}).Index(0), 0, 0)
}

// perLevel bounds the values around one. A receiver does not see pointers and interfaces, so there
// may be more of them than levels; the bound keeps the walk's own recursion from becoming long.
const perLevel = 16

// walk goes through one value. It lives for one check and belongs to its goroutine. A value
// that another goroutine changes meanwhile is a data race of its author's, here as in the encoder.
type walk struct {
	view

	unfit func(reflect.Type) error // nil if there is nothing to ask
	left  int                      // values that it may still look at
}

// enter looks at one value and what is in it. levels counts what the receiver's decoder counts:
// maps, lists and structures that are not nil. A value that contains itself has no end of levels,
// or of pointers, so that no search for the same value on the way is needed. Types that cannot
// contain themselves are not entered.
func (w *walk) enter(v reflect.Value, levels, depth int) error {
	if !traitsOf(v.Type()).endless || hasMethod(v.Type(), w.leaves...) {
		return nil
	}
	if w.left--; w.left < 0 {
		return fmt.Errorf("the value has more than %d parts", maxElements)
	}
	kind := v.Kind()
	if kind != reflect.Struct && kind != reflect.Array && v.IsNil() {
		return nil
	}
	leads := kind == reflect.Interface || kind == reflect.Pointer
	if !leads {
		levels++
	}
	if levels > w.levels || depth > perLevel*w.levels {
		return fmt.Errorf("the value contains itself, or is nested more than %d levels deep, which no receiver accepts", w.levels)
	}
	if kind == reflect.Interface && w.unfit != nil {
		if err := w.unfit(v.Elem().Type()); err != nil {
			return err
		}
	}
	if leads {
		return w.enter(v.Elem(), levels, depth+1)
	}
	return w.parts(v, levels, depth)
}

// parts enters what is directly inside a value.
func (w *walk) parts(v reflect.Value, levels, depth int) error {
	for part, embedded := range inside(v, w.tag) {
		inner := levels
		if embedded {
			inner-- // its fields count as those of the outer one
		}
		if err := w.enter(part, inner, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// inside gives the values directly inside a list, a mapping or a structure, as the encoder sees it
// that goes by this tag: fields that it leaves out are left out. embedded is true for an embedded
// structure; one that is not exported may have fields that are.
func inside(v reflect.Value, tag func(reflect.StructField) string) iter.Seq2[reflect.Value, bool] {
	return func(yield func(part reflect.Value, embedded bool) bool) {
		switch v.Kind() {
		case reflect.Slice, reflect.Array:
			for i := 0; i < v.Len() && yield(v.Index(i), false); i++ {
			}
		case reflect.Map:
			for it := v.MapRange(); it.Next() && yield(it.Key(), false) && yield(it.Value(), false); {
			}
		case reflect.Struct:
			for f, part := range v.Fields() {
				if (f.IsExported() || f.Anonymous) && tag(f) != "-" && !yield(part, f.Anonymous) {
					return
				}
			}
		}
	}
}
