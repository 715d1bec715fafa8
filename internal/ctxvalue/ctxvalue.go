// Package ctxvalue puts values into a ctx, at most one of each type. A package that has a type
// for what it puts there needs no key of its own:
//
//	ctx = ctxvalue.With(ctx, router) // *route.Router
//	router := ctxvalue.Of[*route.Router](ctx)
//
// Nobody else has the value: the type, or the package, is this project's own.
package ctxvalue

import "context"

// key is that of the values of a type.
type key[T any] struct{}

// With returns a ctx in which [Of] finds v, by the type T: an interface, if T is one.
func With[T any](ctx context.Context, v T) context.Context {
	return context.WithValue(ctx, key[T]{}, v)
}

// Of is what With has put into ctx for the type T; the zero value if nothing.
func Of[T any](ctx context.Context) T {
	v, _ := ctx.Value(key[T]{}).(T)
	return v
}
