package page

import (
	"context"
	"embed"
	"io/fs"
	"net/http"

	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Options say who may look, and what they may do. The zero value lets browsers on this machine do all.
type Options struct {
	// Token is what programs send, as "Authorization: Bearer TOKEN"; "" lets none in but browsers.
	Token string
	// Hosts are the names and addresses, without a port, under which the page is asked for; nil: localhost, and
	// the addresses of this machine for itself. "*" is any.
	Hosts []string
	// ReadOnly refuses calls, streams, contexts, restarts and cancels.
	ReadOnly bool
	// Plan gives what is to be shown of the config file beside what runs, as JSON; nil: nothing.
	Plan func(ctx context.Context) (any, error)
}

// Page is the handler of a tree. It may be used by any number of requests at once, and ends with the ctx that it was made with: what
// is read then ends, and later requests are answered 503.
type Page struct {
	ctx   context.Context // of the tree
	o     Options
	guard *guard
	feed  feed
	mux   *http.ServeMux
	// Each has a place for each request of its kind that is under way.
	reads, streams, calls chan struct{}
	contexts              contexts
}

// Bounds of what is under way at once; more is refused with 503.
const (
	mostReads   = 16
	mostStreams = 64
	mostCalls   = 64
)

//go:embed static
var static embed.FS

// New makes the page of the tree that ctx is in.
func New(ctx context.Context, o Options) *Page {
	p := &Page{
		ctx: ctx, o: o, guard: newGuard(o), mux: http.NewServeMux(),
		reads: make(chan struct{}, mostReads), streams: make(chan struct{}, mostStreams), calls: make(chan struct{}, mostCalls),
		contexts: contexts{open: map[string]*held{}},
	}
	p.feed.init(ctx)
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // it is embedded
	}
	p.mux.Handle("/", http.FileServerFS(files))
	p.mux.HandleFunc("GET /api/tree", p.within(p.reads, p.tree))
	p.mux.HandleFunc("GET /api/actor/", p.within(p.reads, p.describe))
	p.mux.HandleFunc("GET /api/metrics", p.within(p.reads, p.metrics))
	p.mux.HandleFunc("GET /api/traces", p.within(p.reads, p.spans))
	p.mux.HandleFunc("GET /api/plan", p.within(p.reads, p.plan))
	p.mux.HandleFunc("GET /api/about", p.about)
	p.mux.HandleFunc("GET /api/openapi.json", p.within(p.reads, p.openAPI))
	p.mux.HandleFunc("GET /api/events", p.within(p.streams, p.events))
	p.mux.HandleFunc("GET /api/logs", p.within(p.streams, p.logs))
	p.mux.HandleFunc("GET /api/stream/", p.acting(p.within(p.streams, p.stream)))
	p.mux.HandleFunc("POST /api/call/", p.acting(p.within(p.calls, p.call)))
	p.mux.HandleFunc("POST /api/open/", p.acting(p.within(p.streams, p.open)))
	p.mux.HandleFunc("POST /api/context/{id}/send", p.acting(p.within(p.calls, p.held(p.send))))
	p.mux.HandleFunc("POST /api/context/{id}/close", p.acting(p.within(p.calls, p.held(p.closeSend))))
	p.mux.HandleFunc("POST /api/context/{id}/cancel", p.acting(p.within(p.calls, p.held(p.cancelContext))))
	p.mux.HandleFunc("POST /api/restart/", p.acting(p.within(p.calls, p.order(wire.OrderRestart))))
	p.mux.HandleFunc("POST /api/cancel/", p.acting(p.within(p.calls, p.order(wire.OrderCancel))))
	p.mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "there is no "+r.Method+" "+r.URL.Path+"; /api/openapi.json has what there is")
	})
	return p
}

// Invite gives the path of a link that lets one browser in, once. It is for whoever may look at the tree: the link is shown to nobody else.
func (p *Page) Invite() string { return p.guard.invite() }

// ServeHTTP answers whoever may look.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if p.ctx.Err() != nil {
		refuse(w, http.StatusServiceUnavailable, "the tree has ended")
		return
	}
	if p.guard.admits(w, r) {
		ctx, cancel := context.WithCancelCause(p.ctx) // in the tree, and for as long as somebody waits
		defer cancel(nil)
		defer context.AfterFunc(r.Context(), func() { cancel(context.Cause(r.Context())) })()
		p.mux.ServeHTTP(w, r.WithContext(ctx))
	}
}

// within refuses a request for which there is no place.
func (p *Page) within(places chan struct{}, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			h(w, r)
		default:
			refuse(w, http.StatusServiceUnavailable, "too many requests of this kind are under way; try again when one has ended")
		}
	}
}

// acting refuses what is more than looking, where only that is allowed.
func (p *Page) acting(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if p.o.ReadOnly {
			refuse(w, http.StatusForbidden, "this page is read-only: it was started without calls and orders")
			return
		}
		h(w, r)
	}
}

// asked is how actors are asked about.
func (p *Page) asked() inspect.Tree {
	return inspect.Tree{Registry: directory.From(p.ctx), Records: telemetry.From(p.ctx), Ask: inspect.Order, Without: document.IsCommand}
}
