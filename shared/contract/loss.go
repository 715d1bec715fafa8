package contract

import (
	"iter"
	"reflect"
	"sync"

	"github.com/seed-2ba35074/trellis/shared/fault"
)

// lossBehind finds what is behind the interfaces of a value and would arrive without its
// content. The types of an endpoint do not tell: any type may be there.
func lossBehind(name, what string, v any) error {
	l := &losses{left: maxLooks}
	l.look(reflect.ValueOf(v), true)
	if l.found == nil {
		return nil
	}
	e := *l.found // one for all values of the type
	e.Endpoint, e.What = name, what
	return &e
}

// Bounds of the look into a value. What is deeper, the encoder refuses; beyond so many
// values nothing is looked at any more, so that a value which contains itself has an end.
const (
	maxLooks = 64 << 10
	maxDepth = 64
)

type losses struct {
	left  int // values that are still looked at
	depth int
	found *fault.ContractError
}

// look looks at a value; free is set if its type is not one that the endpoint declares.
func (l *losses) look(v reflect.Value, free bool) {
	if l.left--; l.left < 0 || l.depth > maxDepth || l.found != nil || !v.IsValid() {
		return
	}
	kind := kindOf(v.Type())
	if free {
		l.found = kind.unfit
	}
	if !kind.open || l.found != nil {
		return
	}
	l.depth++
	defer func() { l.depth-- }()
	for inner := range inside(v) {
		l.look(inner, v.Kind() == reflect.Interface)
	}
}

// inside gives the values directly inside v that are sent with it.
func inside(v reflect.Value) iter.Seq[reflect.Value] {
	return func(yield func(reflect.Value) bool) {
		switch v.Kind() {
		case reflect.Interface, reflect.Pointer:
			yield(v.Elem())
		case reflect.Slice, reflect.Array:
			for i := 0; i < v.Len() && yield(v.Index(i)); i++ {
			}
		case reflect.Map:
			for it := v.MapRange(); it.Next() && yield(it.Key()) && yield(it.Value()); {
			}
		case reflect.Struct:
			for f, value := range v.Fields() {
				if tagOf(f) != "-" && (f.IsExported() || f.Anonymous) && !yield(value) {
					return
				}
			}
		}
	}
}

// kinds are the walks through types that were met behind interfaces, or are open themselves.
var kinds sync.Map // reflect.Type → *walk

func kindOf(t reflect.Type) *walk {
	if w, ok := kinds.Load(t); ok {
		return w.(*walk)
	}
	w, _ := kinds.LoadOrStore(t, walkThrough(part{typ: t}))
	return w.(*walk)
}
