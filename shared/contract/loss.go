package contract

import (
	"reflect"
	"sync"
)

// unfitBehind says why a value that is behind an interface would arrive without its content, or
// not at all. The types of an endpoint do not tell: any type may be there. It is nil for an
// endpoint without interfaces, whose types were looked at when it was declared.
func (s *signature) unfitBehind(what string) func(reflect.Type) error {
	if !s.open {
		return nil
	}
	return func(t reflect.Type) error {
		unfit := kindOf(t).unfit
		if unfit == nil {
			return nil
		}
		e := *unfit // one for all values of the type
		e.Endpoint, e.What = s.name, what
		return &e
	}
}

// kinds are the walks through types that were met behind interfaces. The entries are never
// removed: a program has a limited number of types.
var kinds sync.Map // reflect.Type → *walk

func kindOf(t reflect.Type) *walk {
	if w, ok := kinds.Load(t); ok {
		return w.(*walk)
	}
	w, _ := kinds.LoadOrStore(t, walkThrough(part{typ: t}))
	return w.(*walk)
}
