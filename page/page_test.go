package page_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/page"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/trellistest"
)

type order struct {
	Dish  string `json:"dish"`
	Count int    `json:"count"`
}

var (
	greet   = contract.Func[string, string]("greet")
	cook    = contract.Func[order, []string]("cook")
	fail    = contract.Func[struct{}, string]("fail")
	numbers = contract.Source[int, int]("count")
	chat    = chatNamed("chat")
)

func chatNamed(name string) contract.ContextEndpoint[string, string, guest, string, int] {
	return contract.Context[string, string, guest, string, int](name).With(contract.ContextOptions{Reading: true})
}

// guest is who is greeted in a chat. One whom nobody knows is waited for, without reading on.
type guest struct {
	Name  string `json:"name"`
	Known bool   `json:"known"`
}

// greetAll serves chat.
func greetAll(ctx context.Context, greeting string, c *contract.Callee[string, guest, string]) (n int, err error) {
	if err = c.Started("a chat"); err != nil {
		return 0, err
	}
	s, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return 0, err
	}
	for g, err := range s.All(ctx) {
		if err != nil {
			return n, err
		}
		if !g.Known {
			<-ctx.Done()
			return n, context.Cause(ctx)
		}
		if err := s.Send(ctx, greeting+", "+g.Name); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// counting is told whether each source and each chat has come to its end.
type counting chan bool

// greeting serves a chat, whose end is told.
func (ended counting) greeting(ctx context.Context, greeting string, c *contract.Callee[string, guest, string]) (int, error) {
	n, err := greetAll(ctx, greeting, c)
	if ended != nil {
		ended <- err == nil
	}
	return n, err
}

// served runs body with a tree of one greeter, and a server of its page.
func served(t *testing.T, o page.Options, ended counting, body func(ctx context.Context, p *page.Page, url string)) {
	t.Helper()
	servedBy(t, host.Options{}, o, ended, body)
}

func servedBy(t *testing.T, h host.Options, o page.Options, ended counting, body func(ctx context.Context, p *page.Page, url string)) {
	t.Helper()
	programs := trellistest.NewPrograms(t, trellistest.Plugin{Name: "greeter", Endpoints: []contract.Handler{
		greet.Handle(func(_ context.Context, name string) (string, error) { return "Hello, " + name, nil }),
		cook.Handle(func(_ context.Context, o order) ([]string, error) { return make([]string, o.Count), nil }),
		fail.Handle(func(context.Context, struct{}) (string, error) { return "", errors.New("no bread") }),
		chat.Handle(ended.greeting), chatNamed("also").Handle(ended.greeting), chatNamed("third").Handle(ended.greeting),
		numbers.Handle(func(_ context.Context, to int) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for i := range to {
					if !yield(i, nil) {
						ended <- false
						return
					}
				}
				ended <- true
			}
		}),
	}})
	specs := []host.Spec{{Name: "greeter", Command: []string{"greeter"}}}
	err := host.OpenTree(programs.Context(), h, specs, func(ctx context.Context, _ *host.Tree) error {
		p := page.New(ctx, o)
		server := httptest.NewServer(p)
		defer server.Close()
		reading, leave := context.WithCancel(ctx)
		defer leave() // the server waits for those who read
		body(reading, p, server.URL)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// do makes a request with a token, and headers as "Name: value".
func do(t *testing.T, method, url, body string, headers ...string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer secret")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if r.Header.Set(name, value); name == "Host" {
			r.Host = value
		}
	}
	w, err := new(http.Client).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Body.Close() }() // it was only read
	all, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.StatusCode, string(all)
}

var withToken = page.Options{Token: "secret"}

// What a call answers, and what it says when it cannot.
func TestCalls(t *testing.T) {
	served(t, withToken, nil, func(_ context.Context, _ *page.Page, url string) {
		for request, want := range map[string]string{
			`call/greeter/greet "Ann"`:                `200 "Hello, Ann"`,
			`call/greeter/greet 5`:                    `422 {"version":1,"error":`,
			`call/greeter/greet {`:                    `400 {"version":1,"error":"the arguments: expected JSON"}`,
			`call/greeter/cook {"dish":"","count":2}`: `200 ["",""]`,
			`call/greeter/fail {}`:                    `502 {"version":1,"error":"`,
			`call/greeter/nothing {}`:                 `404 {"version":1,"error":"greeter serves no endpoint \"nothing\""}`,
			`call/greeter/count 3`:                    `400 {"version":1,"error":"greeter serves count as a source, not as a func"}`,
			`call/nobody/greet "Ann"`:                 `404 {"version":1,"error":"actor not found`,
			`call/greeter ""`:                         `400 {"version":1,"error":"expected /api/call/ACTOR/ENDPOINT`,
			`nothing {}`:                              `404 {"version":1,"error":"there is no POST /api/nothing`,
			`restart/nobody {}`:                       `404 {"version":1,"error":"actor not found`,
		} {
			path, body, _ := strings.Cut(request, " ")
			status, text := do(t, http.MethodPost, url+"/api/"+path, body)
			if got := fmt.Sprintf("%d %s", status, text); !strings.HasPrefix(got, want) {
				t.Errorf("%s: got %s, want %s", request, got, want)
			}
		}
		status, text := do(t, http.MethodPost, url+"/api/call/greeter/greet", `"`+strings.Repeat("x", 2<<20)+`"`)
		if status != http.StatusRequestEntityTooLarge {
			t.Errorf("large arguments: got %d %s", status, text)
		}
	})
}

// A browser is let in once by a link, and from then on by its session. Nobody else is.
func TestWhoMayLook(t *testing.T) {
	served(t, withToken, nil, func(_ context.Context, p *page.Page, url string) {
		tree := url + "/api/tree"
		port := url[strings.LastIndex(url, ":"):]
		for name, test := range map[string]struct {
			method, path string
			headers      []string
			want         int
		}{
			"a token":                  {"GET", tree, nil, 200},
			"another one":              {"GET", tree, []string{"Authorization: Bearer Secret"}, 401},
			"none":                     {"GET", tree, []string{"Authorization: "}, 401},
			"this machine":             {"GET", tree, []string{"Host: localhost" + port}, 200},
			"this machine for itself":  {"GET", tree, []string{"Host: [::1]" + port}, 200},
			"a name made to lead here": {"GET", tree, []string{"Host: evil.example" + port}, 403},
			"a page of another origin": {"GET", tree, []string{"Origin: http://evil.example"}, 403},
			"a page of another port":   {"GET", tree, []string{"Origin: http://127.0.0.1:1"}, 403},
			"this page":                {"GET", tree, []string{"Origin: " + url}, 200},
			"an image elsewhere":       {"GET", tree, []string{"Sec-Fetch-Site: cross-site"}, 403},
			"a wrong invitation":       {"GET", url + "/?invitation=x", []string{"Authorization: "}, 401},
		} {
			if status, text := do(t, test.method, test.path, "", test.headers...); status != test.want {
				t.Errorf("%s: got %d, want %d: %s", name, status, test.want, text)
			}
		}
		invitation := p.Invite()
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost"+invitation, http.NoBody))
		cookies := w.Result().Cookies()
		if w.Code != http.StatusSeeOther || len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode {
			t.Fatalf("the link: %d, %v", w.Code, cookies)
		}
		session := "Cookie: " + cookies[0].Name + "=" + cookies[0].Value
		for name, test := range map[string]struct {
			method, path string
			headers      []string
			want         int
		}{
			"a session":                          {"GET", tree, []string{session}, 200},
			"the link again, by another browser": {"GET", url + invitation, nil, 401},
			"the link again, by the same one":    {"GET", url + invitation, []string{session}, 200},
			"a call":                             {"POST", url + "/api/call/greeter/greet", []string{session, "X-Trellis: 1"}, 422},
			"a call without the header":          {"POST", url + "/api/call/greeter/greet", []string{session}, 403},
		} {
			if status, text := do(t, test.method, test.path, "", append(test.headers, "Authorization: ")...); status != test.want {
				t.Errorf("%s: got %d, want %d: %s", name, status, test.want, text)
			}
		}
	})
	served(t, page.Options{ReadOnly: true, Token: "secret", Hosts: []string{"tree.example"}}, nil, func(_ context.Context, _ *page.Page, url string) {
		if status, _ := do(t, http.MethodGet, url+"/api/tree", "", "Host: tree.example"); status != 200 {
			t.Errorf("another name: got %d", status)
		}
		for _, path := range []string{"POST call/greeter/greet", "POST cancel/greeter", "POST restart/greeter", "GET stream/greeter/count", "POST open/greeter/chat", "POST context/x/send"} {
			method, path, _ := strings.Cut(path, " ")
			if status, text := do(t, method, url+"/api/"+path, `"x"`, "Host: tree.example"); status != 403 || !strings.Contains(text, "read-only") {
				t.Errorf("read-only: %s: got %d %s", path, status, text)
			}
		}
	})
}

// reading reads server-sent events, each as "kind id data".
func reading(ctx context.Context, t *testing.T, url string, headers ...string) (next func() string) {
	t.Helper()
	return readingOf(ctx, t, http.MethodGet, url, "", headers...)
}

func readingOf(ctx context.Context, t *testing.T, method, url, body string, headers ...string) (next func() string) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer secret")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w, err := new(http.Client).Do(r) //nolint:bodyclose // the end of ctx closes it
	if err != nil {
		t.Fatal(err)
	}
	if w.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", url, w.Status)
	}
	lines := bufio.NewScanner(w.Body)
	return func() string {
		var kind, id, data string
		for lines.Scan() && lines.Text() != "" {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			*map[string]*string{"event": &kind, "id": &id, "data": &data}[name] = value
		}
		return kind + " " + id + " " + data
	}
}

// Nobody misses an event who comes back, and who comes first has all of the tree. A restart is told as host events does.
func TestEventsGoOnWhereTheyEnded(t *testing.T) {
	served(t, withToken, nil, func(ctx context.Context, _ *page.Page, url string) {
		first, leave := context.WithCancel(ctx)
		next := reading(first, t, url+"/api/events")
		var id string
		path := func(line string) (state string) {
			var e struct {
				Path string `json:"path"`
				To   string `json:"to"`
			}
			parts := strings.SplitN(line, " ", 3)
			if err := json.Unmarshal([]byte(parts[2]), &e); err != nil || e.Path != "greeter" {
				t.Errorf("%q: %v", line, err)
			}
			id = parts[1]
			return e.To
		}
		for path(next()) != "ready" {
		}
		leave()
		if status, text := do(t, http.MethodPost, url+"/api/restart/greeter", ""); status != http.StatusNoContent {
			t.Fatalf("restart: %d %s", status, text)
		}
		next = reading(ctx, t, url+"/api/events", "Last-Event-ID: "+id)
		states := ""
		for state := ""; state != "ready"; {
			state = path(next())
			states += " " + state
		}
		if !strings.HasPrefix(states, " stopping") || !strings.HasSuffix(states, " reaped starting ready") {
			t.Errorf("told after the one that was had:%s", states)
		}
		next = reading(ctx, t, url+"/api/events", "Last-Event-ID: 999999") // of another host, before this one
		if line := next(); line != "lost  {}" {
			t.Errorf("got %q, want that some are lost", line)
		}
		path(next())
	})
}

// A stream has the messages of a source and says how it has ended. A source ends when nobody reads.
func TestStreams(t *testing.T) {
	ended := make(counting, 2)
	served(t, withToken, ended, func(ctx context.Context, _ *page.Page, url string) {
		next := reading(ctx, t, url+"/api/stream/greeter/count?args=3")
		got := []string{next(), next(), next(), next()}
		if want := "[  0   1   2 end  {}]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
		if !<-ended {
			t.Error("it has not come to its end")
		}
		reader, leave := context.WithCancel(ctx)
		reading(reader, t, url+"/api/stream/greeter/count?args=1000000000")()
		leave()
		if <-ended {
			t.Error("the source has come to its end")
		}
		next = reading(ctx, t, url+"/api/stream/greeter/count?args=%22x%22")
		if line := next(); !strings.HasPrefix(line, "error-of-tree  {") {
			t.Errorf("got %q, want that it is no number", line)
		}
	})
}

// Who wants the last records alone has these, and not many more.
func TestTheLastRecords(t *testing.T) {
	served(t, withToken, nil, func(_ context.Context, _ *page.Page, url string) {
		for range 3 {
			if status, text := do(t, http.MethodPost, url+"/api/restart/greeter", ""); status != http.StatusNoContent {
				t.Fatalf("restart: %d %s", status, text)
			}
		}
		var all string
		for strings.Count(all, `"text":"actor is `) < 3+3*4 { // what is told of a start and of restarts is kept a moment later
			_, all = do(t, http.MethodGet, url+"/api/logs?level=debug", "")
		}
		_, last := do(t, http.MethodGet, url+"/api/logs?level=debug&last=1", "")
		if !strings.HasPrefix(last, "data: {") || len(last) >= len(all) {
			t.Errorf("the last one is %s of %s", last, all)
		}
		for line := range strings.Lines(last) { // those of one moment may be kept in another order
			if !strings.Contains(all, line) {
				t.Errorf("the last one is %s of %s", last, all)
			}
		}
		if _, many := do(t, http.MethodGet, url+"/api/logs?level=debug&last=1000", ""); many != all {
			t.Errorf("the last 1000 are %s, want all", many)
		}
		if status, text := do(t, http.MethodGet, url+"/api/logs?last=0", ""); status != http.StatusBadRequest {
			t.Errorf("none: %d %s", status, text)
		}
	})
}

// The documents are those of the commands, and the description of the API is a valid one, with the schemas of the contracts.
func TestDocuments(t *testing.T) {
	served(t, withToken, nil, func(_ context.Context, _ *page.Page, url string) {
		for path, wants := range map[string][]string{
			"tree":                  {`"path":"greeter"`, `"state":"ready"`, `{"name":"cook","kind":"func"}`},
			"actor/greeter":         {`"schemas":{"arguments":{"additionalProperties":false,"properties":{"count":`, `"health":{`},
			"actor/greeter?brief=1": {`"endpoints":[{"name":"also"`, `"log":[]`},
			"actor/":                {`"path":""`, `"state":"ready"`},
			"metrics":               {`"actor":"greeter"`},
			"traces":                {`"kept":false`, `"spans":[]`},
			"about":                 {`"read_only":false`},
			"plan":                  {`not started from a file`},
			"actor/nobody":          {`actor not found`},
		} {
			_, text := do(t, http.MethodGet, url+"/api/"+path, "")
			for _, want := range wants {
				if !strings.Contains(text, want) || !json.Valid([]byte(text)) {
					t.Errorf("%s: %s has no %s", path, text, want)
				}
			}
		}
		_, text := do(t, http.MethodGet, url+"/api/openapi.json", "")
		var doc struct {
			Paths map[string]struct {
				Post struct {
					RequestBody struct {
						Content map[string]struct{ Schema any } `json:"content"`
					} `json:"requestBody"`
				}
				Get any
			}
		}
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource("cook.json", doc.Paths["/api/call/greeter/cook"].Post.RequestBody.Content["application/json"].Schema); err != nil {
			t.Fatal(err)
		}
		schema, err := c.Compile("cook.json")
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(map[string]any{"dish": "soup", "count": 1.0}) != nil || schema.Validate(map[string]any{"dish": 1.0}) == nil {
			t.Error("the schema of cook's arguments does not say what they are")
		}
		if doc.Paths["/api/open/greeter/chat"].Post.RequestBody.Content == nil {
			t.Error("there is no path for the context")
		}
		if doc.Paths["/api/stream/greeter/count"].Get == nil {
			t.Error("there is no path for the source")
		}
	})
}
