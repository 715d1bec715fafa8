package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// patience is how long a reader may take nothing.
const patience = 10 * time.Second

// eventStream is what a browser reads with EventSource.
type eventStream struct {
	w    http.ResponseWriter
	send *http.ResponseController
	err  error // of the first write that has failed; no other one follows
}

func beginStream(w http.ResponseWriter) *eventStream {
	w.Header().Set("Content-Type", "text/event-stream")
	s := &eventStream{w: w, send: http.NewResponseController(w)}
	s.flush()
	return s
}

// put writes one message; data has no line ends, as JSON of one line. id 0 and kind "" are left out.
func (s *eventStream) put(id int, kind string, data []byte) {
	text := make([]byte, 0, len(data)+64)
	if id > 0 {
		text = fmt.Appendf(text, "id: %d\n", id)
	}
	if kind != "" {
		text = fmt.Appendf(text, "event: %s\n", kind)
	}
	text = fmt.Appendf(text, "data: %s\n\n", data)
	if s.err != nil {
		return
	}
	if err := s.send.SetWriteDeadline(time.Now().Add(patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.err = err
		return
	}
	_, s.err = s.w.Write(text)
}

func (s *eventStream) flush() {
	if s.err == nil {
		s.err = s.send.Flush()
	}
}

// end says how a stream has ended that is not begun again: with kind "end", or "error" and a problem.
func (s *eventStream) end(err error) {
	data, kind := []byte("{}"), "end"
	if err != nil {
		kind = "error-of-tree" // "error" is the browser's own
		data, err = json.Marshal(problemOf(err))
		if err != nil {
			data = []byte("{}")
		}
	}
	s.put(0, kind, data)
	s.flush()
}

// events sends what has happened and what happens, as host events does. A reader that comes back says which event it had
// last. Where others are missing in between, a message "lost" comes first, and then how the tree was, and all that is kept.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	if err != nil {
		id = 0 // it is the first time
	}
	s := beginStream(w)
	for s.err == nil {
		all, lost, changed, ended := p.feed.after(id)
		if lost {
			s.put(0, "lost", []byte("{}"))
			id = 0
		}
		for _, t := range all {
			if t.lost > 0 {
				s.put(t.id, "lost", fmt.Appendf(nil, `{"events":%d}`, t.lost))
			} else {
				s.put(t.id, "", t.line)
			}
			id = max(id, t.id)
		}
		s.flush()
		if ended != nil {
			s.end(ended)
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// logs sends records: those that are kept, and, with follow=1, those that come.
func (p *Page) logs(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	q := r.URL.Query()
	f := telemetry.Filter{Actor: q.Get("actor"), Grep: q.Get("grep"), Trace: q.Get("trace"), Level: slog.LevelInfo, Follow: q.Get("follow") != ""}
	if level := q.Get("level"); level != "" {
		if err := f.Level.UnmarshalText([]byte(level)); err != nil {
			refuse(w, http.StatusBadRequest, "level: expected debug, info, warn or error")
			return
		}
	}
	if _, err := f.Compile(); err != nil {
		refuse(w, http.StatusBadRequest, "grep: "+err.Error())
		return
	}
	s := beginStream(w)
	for record, err := range telemetry.From(ctx).Watch(ctx, f) {
		lagged, behind := errors.AsType[*fault.Lagged](err)
		switch {
		case behind:
			s.put(0, "lost", fmt.Appendf(nil, `{"records":%d}`, lagged.Missed))
		case err != nil:
			s.end(err)
			return
		default:
			if data, err := json.Marshal(document.OfRecord(&record)); err == nil { // of strings and numbers it cannot fail
				s.put(0, "", data)
			}
		}
		if s.flush(); s.err != nil {
			return
		}
	}
	if ctx.Err() == nil {
		s.end(nil)
	}
}

// stream sends what a source yields. The source ends when nobody reads any more.
func (p *Page) stream(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	portal, endpoint, ok := callee(ctx, w, r, "/api/stream/", "source")
	if !ok {
		return
	}
	args, ok := arguments(w, r.URL.Query().Get("args"))
	if !ok {
		return
	}
	s := beginStream(w)
	for message, err := range contract.SourceByHand(endpoint).Stream(ctx, portal, args) {
		if err != nil {
			s.end(err)
			return
		}
		s.put(0, "", compact(message))
		if s.flush(); s.err != nil {
			return // the loop's end is the source's
		}
	}
	if ctx.Err() == nil {
		s.end(nil)
	}
}
