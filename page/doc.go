// Package page shows a tree of actors in a browser, and lets programs that speak HTTP see and call it.
//
//	host.OpenTree(ctx, o, actors, func(ctx context.Context, t *host.Tree) error {
//		p := page.New(ctx, page.Options{})
//		fmt.Println("http://localhost:8080" + p.Invite()) // good for one browser
//		http.Handle("/", p)
//		…
//
// The ctx is that of a nursery's body, or of the body of host.Join. The page has no build step and asks nobody but
// its own server. Paths, documents and errors are in docs/page.md, and for programs in /api/openapi.json.
//
// # Who may look
//
// Whoever holds a session, which a browser gets for the link that [Page.Invite] gives, once; or whoever sends the token of
// [Options]. What changes something needs a header as well that no page of another origin can send. Only names
// that [Options] allows are answered to, so that no other name can be made to point here.
//
// # What it costs
//
// Nothing, until somebody asks first. From then on it keeps the last events of the tree, encoded, for all who look. Everything
// else is read when it is asked for. A reader that is slow has no other one wait; one that takes nothing for ten seconds is left.
//
// No package of a host or a plugin imports this one.
package page
