// Package directory says who is in a tree of actors, and what becomes of them.
//
// Each host tells the events of what it hosts, and passes them on to its own host; so the root
// has all of them, in one ordered stream. The directory is a fold over that stream ([Table]).
// Nothing is registered or removed by hand: an actor is found from its first event to its last
// one, and when a host is lost, the one above it tells the end of each actor that it had.
//
//	p, err := directory.Find(ctx, "parser")       // a portal to the one that became ready last
//	n, err := text.Count.Call(ctx, p, "a b")      // as to a child; it is never another process
//	p, err = directory.WaitFor(ctx, "parser")     // until there is one
//	all, err := directory.Query(ctx, "")          // entries: path, process, state, endpoints
//	for e, err := range directory.Watch(ctx, "census/parser") { … } // ready, restarted, gone
//
//	p = directory.ByName(ctx, "parser")           // a portal that looks up anew for each dialog
//	p = directory.Spread(ctx, "parser")           // to all of them together, each dialog with one
//
// ctx is that of a nursery's body, of a handler, or one made by host.WithEvents. All of them have
// the whole tree: what a plugin's own registry does not have it asks its host for.
//
// A [Registry] is where the events come together. [Memory] is the one that hosts make.
package directory
