// Package route says which way leads to each actor of a tree. Actors have links only with
// their host and with what they host; so the way to any other one is down to a child while its
// path begins with that child's, and up else.
//
//	router := &route.Router{Self: id, Parent: host, Root: root, Up: table, Down: registry}
//	p := router.To("census/parser", parser)        // a portal, by the path from the root
//	next, err := router.FromParent(start)          // where a START goes on to; nil: it is for this actor
//	all, err := router.Tree(ctx)                   // the numbers of this actor, and of all below
//
// A process has one router, which host and life put into the ctx of all code (With, From).
package route
