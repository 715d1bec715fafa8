package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

const (
	mostArguments = 1 << 20 // bytes; what an actor takes is less
	mostSpans     = 5000    // the last ones; since says from where on
)

// problem is the document of a request that has failed.
type problem struct {
	Version int    `json:"version"`
	Error   string `json:"error"`
	// Story has the lines of the error, with where it arose and its causes, if there are any.
	Story []string `json:"story,omitempty"`
}

func refuse(w http.ResponseWriter, status int, text string) {
	answer(w, status, problem{Version: document.Version, Error: text})
}

// answer writes a document. Who does not take it is not told of that.
func answer(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"version":1,"error":"the answer cannot be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the end of the connection says it
}

// failed answers with an error of the tree.
func failed(w http.ResponseWriter, err error) {
	answer(w, statusOf(err), problemOf(err))
}

func problemOf(err error) problem {
	p := problem{Version: document.Version, Error: fault.Line(err)}
	if story := inspect.Lines(fmt.Sprintf("%+v", err)); len(story) > 1 {
		p.Story = story
	}
	return p
}

// statusOf is the status for an error of the tree. What a callee has failed with is its own affair: 502.
func statusOf(err error) int {
	_, remote := errors.AsType[*fault.RemoteError](err)
	_, usage := errors.AsType[*fault.ContractError](err)
	switch {
	case errors.Is(err, fault.ErrNotAllowed):
		return http.StatusForbidden
	case usage:
		return http.StatusUnprocessableEntity
	case remote:
		return http.StatusBadGateway
	case errors.Is(err, directory.ErrNotFound), errors.Is(err, fault.ErrNotExposed):
		return http.StatusNotFound
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

// tree answers with the actors, each below its host.
func (p *Page) tree(w http.ResponseWriter, r *http.Request) {
	entries, err := directory.Query(r.Context(), "")
	if err != nil {
		failed(w, err)
		return
	}
	answer(w, http.StatusOK, document.Listing{Version: document.Version, Actors: document.Nested(document.OfEntries(entries))})
}

// describe answers with what is known of an actor; the root has no path.
func (p *Page) describe(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	parts, err := below(r, "/api/actor/")
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	do, tree := wire.OrderDescribe, p.asked()
	if r.URL.Query().Get("brief") != "" {
		do, tree.Records = wire.OrderLook, nil
	}
	a, err := tree.Actor(ctx, wire.OrderRequest{Path: strings.Join(parts, "/"), Do: do})
	if err != nil {
		failed(w, err)
		return
	}
	answer(w, http.StatusOK, document.Describe(a))
}

// metrics answers with the numbers of all actors, as they are now.
func (p *Page) metrics(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	all, err := telemetry.Measure(ctx)
	if err != nil {
		failed(w, err)
		return
	}
	answer(w, http.StatusOK, struct {
		Version int                 `json:"version"`
		Actors  []telemetry.Metrics `json:"actors"`
	}{document.Version, slices.DeleteFunc(all, document.OfCommand)})
}

// spans answers with the spans that are kept: all, those of a trace, or those of an actor and of what is below it.
func (p *Page) spans(w http.ResponseWriter, r *http.Request) {
	doc := struct {
		Version int              `json:"version"`
		Kept    bool             `json:"kept"` // whether the host keeps spans
		Lost    int              `json:"lost"` // that are not kept any more
		Spans   []telemetry.Span `json:"spans"`
	}{Version: document.Version}
	q := r.URL.Query()
	f := telemetry.Filter{Actor: q.Get("actor"), Trace: q.Get("trace")}
	if since := q.Get("since"); since != "" {
		var err error
		if f.Since, err = time.Parse(time.RFC3339, since); err != nil {
			refuse(w, http.StatusBadRequest, "since: expected a time such as 2026-05-04T15:00:00Z")
			return
		}
	}
	var err error
	doc.Spans, doc.Lost, err = document.Last(telemetry.From(r.Context()).WatchSpans(r.Context(), f), mostSpans)
	if doc.Kept = !errors.Is(err, telemetry.ErrNoSpans); doc.Kept && err != nil {
		failed(w, err)
		return
	}
	answer(w, http.StatusOK, doc)
}

// plan answers with the difference between the config file and what runs.
func (p *Page) plan(w http.ResponseWriter, r *http.Request) {
	if p.o.Plan == nil {
		refuse(w, http.StatusNotFound, "this tree was not started from a file")
		return
	}
	ctx := r.Context()
	plan, err := p.o.Plan(ctx)
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, fault.Line(err))
		return
	}
	answer(w, http.StatusOK, plan)
}

// about answers with what the page itself has to know.
func (p *Page) about(w http.ResponseWriter, _ *http.Request) {
	bounds := telemetry.Bounds()
	doc := struct {
		Version  int       `json:"version"`
		ReadOnly bool      `json:"read_only"`
		Plan     bool      `json:"plan"`
		Spans    bool      `json:"spans"`
		Bounds   []float64 `json:"bounds"` // seconds, of the buckets of calls
	}{Version: document.Version, ReadOnly: p.o.ReadOnly, Plan: p.o.Plan != nil, Spans: telemetry.From(p.ctx).KeepsSpans()}
	for _, b := range bounds {
		doc.Bounds = append(doc.Bounds, b.Seconds())
	}
	answer(w, http.StatusOK, doc)
}

// below are the segments of a request's path behind a prefix. Each was escaped by itself: an actor's may have a #.
func below(r *http.Request, prefix string) (parts []string, err error) {
	rest := strings.TrimPrefix(r.URL.EscapedPath(), prefix)
	if rest == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(rest, "/") {
		text, err := url.PathUnescape(part)
		if err != nil {
			return nil, errors.New("the path is not escaped as one of a URL")
		}
		parts = append(parts, text)
	}
	return parts, nil
}

// callee is the actor and the endpoint that a request names: the last segment is the endpoint. It has answered if ok is false.
func callee(ctx context.Context, w http.ResponseWriter, r *http.Request, prefix, kind string) (portal *directory.Portal, endpoint string, ok bool) {
	parts, err := below(r, prefix)
	if err != nil || len(parts) < 2 {
		refuse(w, http.StatusBadRequest, "expected "+prefix+"ACTOR/ENDPOINT, where ACTOR is a name or a path")
		return nil, "", false
	}
	name, endpoint := strings.Join(parts[:len(parts)-1], "/"), parts[len(parts)-1]
	if portal, err = directory.Find(ctx, name); err != nil {
		failed(w, err)
		return nil, "", false
	}
	for _, e := range portal.Entry.Endpoints {
		if e.Name == endpoint && e.Kind == kind {
			return portal, endpoint, true
		}
		if e.Name == endpoint {
			refuse(w, http.StatusBadRequest, portal.Entry.Path+" serves "+endpoint+" as a "+e.Kind+", not as a "+kind)
			return nil, "", false
		}
	}
	refuse(w, http.StatusNotFound, portal.Entry.Path+" serves no endpoint "+strconv.Quote(endpoint))
	return nil, "", false
}

// call calls a func with the body of the request, and answers with its result.
func (p *Page) call(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	body, ok := received(w, r)
	if !ok {
		return
	}
	portal, endpoint, ok := callee(ctx, w, r, "/api/call/", "func")
	if !ok {
		return
	}
	args, ok := arguments(w, body)
	if !ok {
		return
	}
	result, err := contract.FuncByHand(endpoint).Call(ctx, portal, args)
	if err != nil {
		failed(w, err)
		return
	}
	answer(w, http.StatusOK, result)
}

// arguments are those of a call, {} if there are none.
func arguments(w http.ResponseWriter, text string) (json.RawMessage, bool) {
	if text = strings.TrimSpace(text); text == "" {
		text = "{}"
	}
	if !json.Valid([]byte(text)) {
		refuse(w, http.StatusBadRequest, "the arguments: expected JSON")
		return nil, false
	}
	return json.RawMessage(text), true
}

// order has an actor restarted or ended, and answers when that is done.
func (p *Page) order(do string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		parts, err := below(r, "/api/"+do+"/")
		if err != nil || len(parts) == 0 {
			refuse(w, http.StatusBadRequest, "expected /api/"+do+"/ACTOR, where ACTOR is a path")
			return
		}
		if _, err := inspect.Order(ctx, wire.OrderRequest{Name: treepath.Exact(strings.Join(parts, "/")), Do: do, By: "the page"}); err != nil {
			failed(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}
