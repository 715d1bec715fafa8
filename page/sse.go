package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

const (
	patience = 10 * time.Second      // how long a reader may take nothing
	pace     = 50 * time.Millisecond // between two packets to a reader, where there is more than one message in that time

	mostUnwritten = 16 << 10 // bytes of messages that wait for the next packet
)

// eventStream is what a browser reads with EventSource. One goroutine puts messages, and closes it; a timer may send them.
//
// mu guards all but w and send, and is held while something is written: only these two ever wait for each other.
type eventStream struct {
	w    http.ResponseWriter
	send *http.ResponseController

	mu    sync.Mutex
	text  []byte      // was put, and not written
	err   error       // of the first write that has failed, or that the stream is closed; no other one follows
	sent  time.Time   // when all that there was has been sent
	later *time.Timer // will send what has been put since; nil if that is not needed
}

func beginStream(w http.ResponseWriter) *eventStream {
	w.Header().Set("Content-Type", "text/event-stream")
	s := &eventStream{w: w, send: http.NewResponseController(w)}
	_ = s.flush() // the next one says it again
	return s
}

// put writes one message, which is sent with the next flush; data has no line ends, as JSON of one line. id 0 and kind "" are left out.
func (s *eventStream) put(id int, kind string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id > 0 {
		s.text = append(strconv.AppendInt(append(s.text, "id: "...), int64(id), 10), '\n')
	}
	if kind != "" {
		s.text = append(append(append(s.text, "event: "...), kind...), '\n')
	}
	s.text = append(append(append(s.text, "data: "...), data...), "\n\n"...)
	if len(s.text) > mostUnwritten {
		s.write()
	}
}

// write writes what was put, once for many messages.
func (s *eventStream) write() {
	if s.err == nil {
		s.err = s.send.SetWriteDeadline(time.Now().Add(patience))
	}
	if s.err == nil || errors.Is(s.err, http.ErrNotSupported) {
		_, s.err = s.w.Write(s.text)
	}
	if s.text = s.text[:0]; cap(s.text) > 4*mostUnwritten {
		s.text = nil // of a large message
	}
}

// flush sends what has been put, now. The error is that of the first write that has failed.
func (s *eventStream) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushNow()
	return s.err
}

// soon is flush, but not more often than the pace: many messages go in one packet.
func (s *eventStream) soon() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait := pace - time.Since(s.sent); wait <= 0 {
		s.flushNow()
	} else if s.later == nil {
		s.later = time.AfterFunc(wait, func() { _ = s.flush() }) // the next one says it again
	}
	return s.err
}

func (s *eventStream) flushNow() {
	if s.later != nil {
		s.later.Stop() // one that runs already finds nothing to send
		s.later = nil
	}
	if len(s.text) > 0 {
		s.write()
	}
	if s.err == nil {
		s.err = s.send.Flush()
		s.sent = time.Now()
	}
}

var errClosed = errors.New("the stream is closed")

// close must come before its handler returns, after which nothing can be sent.
func (s *eventStream) close() {
	_ = s.flush() // nobody reads on
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = errClosed
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
	s.close()
}

// events sends what has happened and what happens, as host events does. A reader that comes back says which event it had
// last. Where others are missing in between, a message "lost" comes first, and then how the tree was, and all that is kept.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	if err != nil {
		id = 0 // it is the first time
	}
	s := beginStream(w)
	defer s.close()
	for {
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
		if ended != nil {
			s.end(ended)
			return
		}
		if s.flush() != nil || !wait(r.Context(), time.After(pace)) || !wait(r.Context(), changed) { // the pace first: what comes meanwhile goes together
			return
		}
	}
}

// wait reports whether something has happened before ctx has ended.
func wait[T any](ctx context.Context, happens <-chan T) bool {
	select {
	case <-happens:
		return true
	case <-ctx.Done():
		return false
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
	if last := q.Get("last"); last != "" {
		n, err := strconv.Atoi(last)
		if err != nil || n < 1 {
			refuse(w, http.StatusBadRequest, "last: expected a number above 0")
			return
		}
		f.Since = sinceLast(ctx, f, n)
	}
	s := beginStream(w)
	defer s.close()
	for record, err := range telemetry.From(ctx).Watch(task.Unhurried(ctx), f) {
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
		if s.soon() != nil {
			return
		}
	}
	if ctx.Err() == nil {
		s.end(nil)
	}
}

// sinceLast is the time of the first one of the last records that are kept; zero if there are not so many.
func sinceLast(ctx context.Context, f telemetry.Filter, n int) time.Time {
	f.Follow = false
	kept, _, err := document.Last(telemetry.From(ctx).Watch(ctx, f), n)
	if err != nil || len(kept) < n { // whoever reads is told the error
		return time.Time{}
	}
	return kept[0].Time
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
	defer s.close()
	for message, err := range contract.SourceByHand(endpoint).Stream(ctx, portal, args) {
		if err != nil {
			s.end(err)
			return
		}
		s.put(0, "", compact(message))
		if s.soon() != nil {
			return // the loop's end is the source's
		}
	}
	if ctx.Err() == nil {
		s.end(nil)
	}
}
