package page

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/shared/contract"
)

// Bounds of the contexts that one viewer holds open: one session, or all programs that send the token.
const (
	mostContexts    = 16
	mostUnsent      = 64      // messages of a context that wait for room in the callee's window
	mostUnsentBytes = 1 << 20 // of these
	// tellEvery is how often a viewer is told how far a context is, if that has changed.
	tellEvery = 200 * time.Millisecond
)

// unread is what a callee may have sent that was not yet written to the viewer.
var unread = contract.Window{Messages: 256, Bytes: 1 << 20}

// Of a context that is opened by hand.
type (
	opener = contract.Opener[json.RawMessage, json.RawMessage, json.RawMessage, json.RawMessage]
	stream = contract.Stream[json.RawMessage, json.RawMessage]
)

var (
	errCancelled = errors.New("it was cancelled before it had started")
	errLook      = errors.New("it is time to look") // how far it is
)

// contexts are those that viewers hold open, by their ids. An id is a secret of the viewer's.
type contexts struct {
	mu   sync.Mutex
	open map[string]*held
}

// held is a context that a viewer has opened. It belongs to the request that reads it, and ends with that; other requests of the
// same viewer send, and cancel. mu guards all below it.
type held struct {
	viewer [sha256.Size]byte
	end    context.CancelCauseFunc
	news   chan struct{} // has room for one: there is something to send
	told   counts        // to the viewer

	mu     sync.Mutex
	opener *opener // nil until the callee has started
	stream *stream
	unsent []json.RawMessage // the first one is being sent
	bytes  int               // of unsent
	counts counts
}

// counts say how far a context is.
type counts struct {
	Sent     int  `json:"sent"`     // messages that the callee has, or that are on their way to it
	Waiting  int  `json:"waiting"`  // messages that wait for room in the callee's window
	Received int  `json:"received"` // messages
	Credit   int  `json:"credit"`   // messages that can be sent without waiting
	Closed   bool `json:"closed"`   // no more is sent
}

// begin adds a context, unless its viewer has too many.
func (c *contexts) begin(h *held) (id string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, other := range c.open {
		if other.viewer == h.viewer {
			n++
		}
	}
	if n == mostContexts {
		return "", false
	}
	id = rand.Text()
	c.open[id] = h
	return id, true
}

func (c *contexts) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, id)
}

// of is the context that a request is about, if the same viewer has opened it.
func (c *contexts) of(id string, viewer [sha256.Size]byte) (*held, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.open[id]
	return h, ok && h.viewer == viewer
}

// open opens a context, and sends what comes of it, until it has ended or nobody reads any more.
func (p *Page) open(w http.ResponseWriter, r *http.Request) {
	body, ok := received(w, r)
	if !ok {
		return
	}
	ctx, end := context.WithCancelCause(r.Context())
	defer end(nil)
	portal, endpoint, ok := callee(ctx, w, r, "/api/open/", "context")
	if !ok {
		return
	}
	args, ok := arguments(w, body)
	if !ok {
		return
	}
	h := &held{viewer: p.guard.viewer(r), end: end, news: make(chan struct{}, 1)}
	id, ok := p.contexts.begin(h)
	if !ok {
		refuse(w, http.StatusTooManyRequests, fmt.Sprintf("%d contexts are open already: end one of them", mostContexts))
		return
	}
	defer p.contexts.forget(id)
	s := beginStream(w)
	defer s.close()
	s.put(0, "opened", fmt.Appendf(nil, `{"id":%q}`, id))
	if s.flush() != nil {
		return
	}
	options := contract.ContextOptions{Reading: true, StreamOptions: contract.StreamOptions{Window: unread}}
	result, err := contract.ContextByHand(endpoint).With(options).Open(ctx, portal, args, func(ctx context.Context, c *opener) error { return h.talk(ctx, s, c) })
	p.contexts.forget(id) // before its viewer knows
	_ = h.tell(s)         // the end is told in any case
	switch {
	case err != nil:
	case h.opener != nil && h.opener.Cancelled():
		s.put(0, "cancelled", []byte("{}"))
	default:
		s.put(0, "result", compact(result))
	}
	s.end(err)
}

// talk is this side's task of a context: it reads, and a task of its own sends. It alone writes to the viewer.
func (h *held) talk(ctx context.Context, s *eventStream, c *opener) error {
	in, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.opener, h.stream = c, in
	h.mu.Unlock()
	s.put(0, "started", compact(c.Value()))
	ended := make(chan struct{}) // the callee's task
	defer close(ended)
	c.Go(func(ctx context.Context) error { return h.send(ctx, ended) })
	again := func(f func(ctx context.Context) error) error {
		for {
			if err := h.tell(s); err != nil {
				return err
			}
			look, enough := context.WithTimeoutCause(ctx, tellEvery, errLook)
			err := f(look)
			if enough(); !errors.Is(err, errLook) {
				return err
			}
		}
	}
	if err := again(func(ctx context.Context) error { return h.receive(ctx, s) }); err != nil {
		return err
	}
	return again(func(ctx context.Context) error { _, err := c.Wait(ctx); return err })
}

// receive writes what comes, until the callee sends no more.
func (h *held) receive(ctx context.Context, s *eventStream) error {
	for all, err := range h.stream.Batches(ctx, 0) {
		if err != nil {
			return err
		}
		for _, m := range all {
			s.put(0, "", compact(m))
		}
		h.mu.Lock()
		h.counts.Received += len(all)
		h.mu.Unlock()
		if err := s.soon(); err != nil {
			return err
		}
	}
	return nil
}

// tell writes how far the context is, if that has changed.
func (h *held) tell(s *eventStream) error {
	if now := h.count(); now != h.told {
		h.told = now
		data, _ := json.Marshal(now) // of numbers it cannot fail
		s.put(0, "counts", data)
	}
	return s.flush()
}

// count says how far the context is.
func (h *held) count() counts {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.counts
	now.Waiting = len(h.unsent)
	if h.stream != nil {
		now.Credit = h.stream.Credit()
	}
	return now
}

// send sends what waits, until there is no more, ctx ends, or the callee's task has.
func (h *held) send(ctx context.Context, ended <-chan struct{}) error {
	for {
		m, closed := h.first()
		switch {
		case m != nil:
			if err := h.stream.Send(ctx, m); err != nil {
				return err
			}
			h.sent()
			continue
		case closed:
			h.stream.CloseSend()
			return nil
		}
		select {
		case <-h.news:
		case <-ended:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (h *held) first() (m json.RawMessage, closed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.unsent) > 0 {
		m = h.unsent[0]
	}
	return m, h.counts.Closed
}

func (h *held) sent() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bytes -= len(h.unsent[0])
	h.unsent = h.unsent[1:]
	h.counts.Sent++
}

// add has a message sent, or says that no more come if it is nil. It waits for nothing.
func (h *held) add(m json.RawMessage) (status int, problem string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case m == nil:
		h.counts.Closed = true
	case h.counts.Closed:
		return http.StatusConflict, "no more can be sent: that was said before"
	case len(h.unsent) == mostUnsent || len(h.unsent) > 0 && h.bytes+len(m) > mostUnsentBytes:
		return http.StatusTooManyRequests, fmt.Sprintf("%d messages wait until the actor has read others: try again when it has", len(h.unsent))
	default:
		h.unsent, h.bytes = append(h.unsent, m), h.bytes+len(m)
	}
	select {
	case h.news <- struct{}{}:
	default: // it is told already
	}
	return http.StatusOK, ""
}

// cancel ends the callee's task, and returns when that has ended.
func (h *held) cancel(ctx context.Context) error {
	h.mu.Lock()
	c := h.opener
	h.mu.Unlock()
	if c == nil {
		h.end(errCancelled)
		return nil
	}
	return c.Cancel(ctx, "cancelled by the page")
}

// received is the body of a request. It has answered if ok is false.
func received(w http.ResponseWriter, r *http.Request) (text string, ok bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostArguments))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "the body: "+err.Error())
	}
	return strings.TrimSpace(string(body)), err == nil
}

// held finds the context that a request is about.
func (p *Page) held(f func(w http.ResponseWriter, r *http.Request, h *held)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h, ok := p.contexts.of(r.PathValue("id"), p.guard.viewer(r))
		if !ok {
			refuse(w, http.StatusNotFound, "there is no such context: it has ended, or another viewer has opened it")
			return
		}
		f(w, r, h)
	}
}

// send has a message sent, and answers at once, with how far the context is.
func (p *Page) send(w http.ResponseWriter, r *http.Request, h *held) {
	text, ok := received(w, r)
	if !ok {
		return
	}
	if !json.Valid([]byte(text)) {
		refuse(w, http.StatusBadRequest, "the message: expected JSON")
		return
	}
	accept(w, h, json.RawMessage(text))
}

// closeSend says that no more messages come.
func (p *Page) closeSend(w http.ResponseWriter, _ *http.Request, h *held) { accept(w, h, nil) }

func accept(w http.ResponseWriter, h *held, m json.RawMessage) {
	if status, text := h.add(m); status != http.StatusOK {
		refuse(w, status, text)
		return
	}
	answer(w, http.StatusOK, h.count())
}

// cancelContext answers when the callee's task has ended.
func (p *Page) cancelContext(w http.ResponseWriter, r *http.Request, h *held) {
	if err := h.cancel(r.Context()); err != nil {
		failed(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
