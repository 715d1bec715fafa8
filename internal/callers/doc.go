// Package callers decides who may call whom in a tree: a pure rule over where the two are.
//
//	refused := callers.Refusal(callers.Caller{Path: "census/walker"}, "census/parser", "count", ofEndpoint, ofActor)
//
// A [Rule] belongs to an endpoint, in the words of its author, or to an actor, in those of the
// tree's config. Where the caller is, no caller says itself: each host on the way vouches for
// what comes over the link of a child, since the certificate of that link names the child.
package callers
