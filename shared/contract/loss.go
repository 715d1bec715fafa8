package contract

import (
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
	switch v.Kind() {
	case reflect.Interface:
		l.look(v.Elem(), true)
	case reflect.Pointer:
		l.look(v.Elem(), false)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			l.look(v.Index(i), false)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			l.look(it.Key(), false)
			l.look(it.Value(), false)
		}
	case reflect.Struct:
		for f, value := range v.Fields() {
			if f.IsExported() || f.Anonymous {
				l.look(value, false)
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
