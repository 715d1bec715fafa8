package page_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/page"
)

// chatting is a context that a viewer has opened.
type chatting struct {
	t      *testing.T
	id     string
	next   func() string // what comes, as reading has it
	counts struct {
		Sent, Waiting, Received, Credit int
		Closed                          bool
	}
	do func(what, body string) (status int, text string)
}

// open opens chat, and waits until it has started.
func open(ctx context.Context, t *testing.T, url string, headers ...string) *chatting {
	t.Helper()
	c := &chatting{t: t}
	read := readingOf(ctx, t, http.MethodPost, url+"/api/open/greeter/chat", `"Hello"`, headers...)
	var opened struct{ ID string }
	if _, data, _ := strings.Cut(read(), "  "); json.Unmarshal([]byte(data), &opened) != nil || opened.ID == "" {
		t.Fatalf("it was opened with %q", data)
	}
	c.id = opened.ID
	c.next = read
	c.do = func(what, body string) (int, string) {
		return do(t, http.MethodPost, url+"/api/context/"+c.id+"/"+what, body, headers...)
	}
	c.want(`started  "a chat"`)
	return c
}

// line is what comes next that is not counts, which are noted.
func (c *chatting) line() string {
	for {
		if line := c.next(); !c.noted(line) {
			return line
		}
	}
}

func (c *chatting) noted(line string) bool {
	data, is := strings.CutPrefix(line, "counts  ")
	if is && json.Unmarshal([]byte(data), &c.counts) != nil {
		c.t.Errorf("counts are %s", data)
	}
	return is
}

func (c *chatting) want(lines ...string) {
	c.t.Helper()
	for _, want := range lines {
		if line := c.line(); !strings.HasPrefix(line, want) {
			c.t.Fatalf("got %q, want %q", line, want)
		}
	}
}

// A context is opened, messages are sent and come back with their counts, and its result comes when no more are sent.
func TestContexts(t *testing.T) {
	ended := make(counting, 4)
	served(t, withToken, ended, func(ctx context.Context, _ *page.Page, url string) {
		c := open(ctx, t, url)
		for _, name := range []string{"Ann", "Ben"} {
			if status, text := c.do("send", `{"name": "`+name+`", "known": true}`); status != http.StatusOK {
				t.Errorf("send: %d %s", status, text)
			}
		}
		c.want(`  "Hello, Ann"`, `  "Hello, Ben"`)
		if status, text := c.do("send", `{"name"`); status != http.StatusBadRequest {
			t.Errorf("a message that is not JSON: %d %s", status, text)
		}
		if status, text := c.do("close", ""); status != http.StatusOK || !strings.Contains(text, `"closed":true`) {
			t.Errorf("close: %d %s", status, text)
		}
		if status, text := c.do("send", `{"name":"Cid","known":true}`); status != http.StatusConflict && status != http.StatusNotFound {
			t.Errorf("a message behind the last one: %d %s", status, text)
		}
		c.want("result  2", "end  {}")
		if c.counts.Sent != 2 || c.counts.Waiting != 0 || c.counts.Received != 2 || c.counts.Credit == 0 {
			t.Errorf("at the end, its counts are %+v", c.counts)
		}
		if !<-ended {
			t.Error("it has not come to its end")
		}
		if status, text := c.do("send", "{}"); status != http.StatusNotFound {
			t.Errorf("a message to a context that has ended: %d %s", status, text)
		}
		c = open(ctx, t, url)
		if status, text := c.do("send", `"not a guest"`); status != http.StatusOK {
			t.Errorf("send: %d %s", status, text)
		}
		c.want("error-of-tree  {")
		if <-ended {
			t.Error("it has come to its end, with a message that does not fit")
		}
	})
}

// A context is cancelled when somebody says so, and when the viewer who has opened it goes.
func TestContextsEndWithTheirViewers(t *testing.T) {
	ended := make(counting, 4)
	served(t, withToken, ended, func(ctx context.Context, _ *page.Page, url string) {
		c := open(ctx, t, url)
		if status, text := c.do("cancel", ""); status != http.StatusNoContent || <-ended {
			t.Errorf("cancel: %d %s", status, text)
		}
		c.want("cancelled  {}", "end  {}")

		reader, leave := context.WithCancel(ctx)
		open(reader, t, url)
		leave()
		if <-ended {
			t.Error("it has come to its end, and its viewer has gone")
		}
	})
}

// What one viewer holds open is bounded, and so is what waits to be sent. Nobody can reach a context of another viewer.
func TestContextsAreBounded(t *testing.T) {
	served(t, withToken, nil, func(ctx context.Context, p *page.Page, url string) {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost"+p.Invite(), http.NoBody))
		session := []string{"Authorization: ", "X-Trellis: 1", "Cookie: " + w.Result().Cookies()[0].String()}

		all := []*chatting{open(ctx, t, url)}
		for range page.MostContexts - 1 {
			all = append(all, open(ctx, t, url))
		}
		if status, text := do(t, http.MethodPost, url+"/api/open/greeter/chat", `"Hello"`); status != http.StatusTooManyRequests {
			t.Errorf("one context more: %d %s", status, text)
		}
		others := open(ctx, t, url, session...) // which does not count here
		for name, headers := range map[string][]string{others.id: nil, all[0].id: session} {
			if status, text := do(t, http.MethodPost, url+"/api/context/"+name+"/cancel", "", headers...); status != http.StatusNotFound {
				t.Errorf("a context of another viewer: %d %s", status, text)
			}
		}
		if status, text := others.do("cancel", ""); status != http.StatusNoContent {
			t.Errorf("cancel: %d %s", status, text)
		}
		if status, text := all[1].do("cancel", ""); status != http.StatusNoContent {
			t.Errorf("cancel: %d %s", status, text)
		}
		all[1].want("cancelled  {}", "end  {}")

		c := all[0]
		for n := 0; c.counts.Waiting != page.MostUnsent || c.counts.Credit != 0; {
			status, text := c.do("send", `{"name":"","known":false}`)
			switch {
			case status == http.StatusOK && n < 1000:
				n++
				c.noted("counts  " + text)
			case status == http.StatusTooManyRequests: // some are still on their way to the callee, or it was not told yet
				if line := c.next(); !c.noted(line) {
					t.Fatalf("got %q, want that %d messages wait, and not %d", line, page.MostUnsent, c.counts.Waiting)
				}
			default:
				t.Fatalf("after %d messages of which nobody reads one: %d %s", n, status, text)
			}
		}
	})
}
