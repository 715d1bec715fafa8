package trellistest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// observer is a test that does not fail, and keeps what it would have failed with.
type observer struct {
	testing.TB

	mu     sync.Mutex
	failed []string
}

func (o *observer) Helper() {}

func (o *observer) Errorf(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed = append(o.failed, fmt.Sprintf(format, args...))
}

// stopped is what Fatalf panics with: nothing after it runs.
type stopped struct{}

func (o *observer) Fatalf(format string, args ...any) {
	o.Errorf(format, args...)
	panic(stopped{})
}

// replayed is what Replay says, without the name of the file.
func replayed(t *testing.T, file string, to trellistest.Plugin, options ...trellistest.ReplayOption) []string {
	t.Helper()
	o := &observer{TB: t}
	func() {
		defer func() {
			if v := recover(); v != nil && v != any(stopped{}) {
				panic(v)
			}
		}()
		trellistest.Replay(o, file, to, options...)
	}()
	for i, text := range o.failed {
		o.failed[i] = strings.ReplaceAll(text, file, "FILE")
	}
	return o.failed
}

// wantReplayed fails t if Replay says something else; a line of want is the end of a difference.
func wantReplayed(t *testing.T, file string, to trellistest.Plugin, want []string, options ...trellistest.ReplayOption) {
	t.Helper()
	got := replayed(t, file, to, options...)
	if !slices.EqualFunc(got, want, strings.HasSuffix) {
		text, _ := os.ReadFile(file)
		t.Errorf("got\n  %s\nwant\n  %s\n%s", strings.Join(got, "\n  "), strings.Join(want, "\n  "), text)
	}
}

// recorded is the file of a recording of what body does.
func recorded(t *testing.T, p trellistest.Plugin, body func(t *testing.T, portal contract.Portal)) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "actor.rec")
	t.Run("record", func(t *testing.T) {
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
		p.Name, p.Record = "parser", f
		body(t, p.Serve(t))
	})
	return file
}

type (
	item  struct{ Name string }
	parts struct {
		Items []item
		Took  time.Duration
	}
)

var (
	parse  = contract.Func[string, parts]("parse")
	counts = contract.Source[int, int]("count")
	shout  = contract.Context[string, string, string, string, int]("shout")
	lookup = contract.Func[string, string]("lookup")
)

// parser serves parse, whose answer is made by f.
func parser(f func(string) (parts, error)) trellistest.Plugin {
	return trellistest.Plugin{Endpoints: []contract.Handler{
		parse.Handle(func(_ context.Context, path string) (parts, error) { return f(path) }),
	}}
}

func TestReplayOfACall(t *testing.T) {
	answer := parts{Items: []item{{"x"}, {"y"}, {"z"}, {"a"}}, Took: 7}
	file := recorded(t, parser(func(string) (parts, error) { return answer, nil }), func(t *testing.T, portal contract.Portal) {
		if _, err := parse.Call(t.Context(), portal, "/src"); err != nil {
			t.Error(err)
		}
	})
	wantReplayed(t, file, parser(func(path string) (parts, error) {
		if path != "/src" {
			t.Errorf("asked for %q", path)
		}
		return answer, nil
	}), nil)
	other := parser(func(string) (parts, error) {
		return parts{Items: []item{{"x"}, {"y"}, {"z"}, {"b"}}, Took: 8}, nil
	})
	wantReplayed(t, file, other, []string{
		`FILE: line 5: parse: answer.Items[3].Name: "a" → "b"`,
		`FILE: line 5: parse: answer.Took: 7 → 8`,
	})
	wantReplayed(t, file, other, []string{`answer.Items[3].Name: "a" → "b"`}, trellistest.Ignore("answer.Took"))
	wantReplayed(t, file, other, nil, trellistest.Ignore("parse: answer.Took", "answer.Items[].Name"))
	wantReplayed(t, file, other, nil, trellistest.Ignore("answer.*"))
	wantReplayed(t, file, parser(func(string) (parts, error) { return parts{Items: answer.Items[:3], Took: 7}, nil }), []string{`answer.Items[3]: {"Name": "a"} → nothing`})
	wantReplayed(t, file, parser(func(string) (parts, error) { return parts{}, errors.New("out of paper") }), []string{
		`ending: answer {"Items": [{"Name": "x"}, {"Name": "y"}, {"Name": "z"}, {"Name": "a"}], "Took": 7} → error "out of paper"`,
	})
	if got := replayed(t, file, trellistest.Plugin{}); len(got) != 1 || !strings.Contains(got[0], `parse: ending: answer {"Items": [`) || !strings.Contains(got[0], `"parse\" is not exposed`) {
		t.Errorf("%q", got)
	}
}

// A version whose types have changed is told so, and compared all the same.
func TestReplayToOtherTypes(t *testing.T) {
	file := recorded(t, parser(func(string) (parts, error) { return parts{Took: 1}, nil }), func(t *testing.T, portal contract.Portal) {
		if _, err := parse.Call(t.Context(), portal, ""); err != nil {
			t.Error(err)
		}
	})
	type more struct {
		parts
		Lines int
	}
	wantReplayed(t, file, trellistest.Plugin{Endpoints: []contract.Handler{
		contract.Func[string, more]("parse").Handle(func(context.Context, string) (more, error) { return more{parts{Took: 1}, 3}, nil }),
	}}, []string{
		"parse: types: those of the recording's host → others: hosts have to be built with them, too",
		"parse: answer.Lines: nothing → 3",
	})
}

func TestReplayOfAFailure(t *testing.T) {
	failing := func(err error) trellistest.Plugin {
		return parser(func(string) (parts, error) { return parts{}, err })
	}
	file := recorded(t, failing(fmt.Errorf("read: %w", &fault.Lagged{Missed: 3})), func(t *testing.T, portal contract.Portal) {
		if _, err := parse.Call(t.Context(), portal, "/src"); err == nil {
			t.Error("no error")
		}
	})
	wantReplayed(t, file, failing(fmt.Errorf("read: %w", &fault.Lagged{Missed: 3})), nil)
	wantReplayed(t, file, failing(fmt.Errorf("read: %w", &fault.Lagged{Missed: 4})), []string{
		`error.message: "read: lagged: 3 messages came faster than this subscriber took them, and were dropped for it" → "read: lagged: 4 messages came faster than this subscriber took them, and were dropped for it"`,
		`error.cause[0].message: "lagged: 3 messages came faster than this subscriber took them, and were dropped for it" → "lagged: 4 messages came faster than this subscriber took them, and were dropped for it"`,
		`error.cause[0].detail.missed: 3 → 4`,
	})
	wantReplayed(t, file, failing(errors.New("read: other")), []string{
		`error.message: "read: lagged` + `: 3 messages came faster than this subscriber took them, and were dropped for it" → "read: other"`,
		`error.type: "*fmt.wrapError" → "*errors.errorString"`,
		`error.cause[0]: "lagged: 3 messages came faster than this subscriber took them, and were dropped for it" → nothing`,
	})
	wantReplayed(t, file, parser(func(string) (parts, error) { panic("oh") }), []string{
		`→ "panic: oh"`, `→ "*fault.PanicError"`, `error.name: "" → "trellis.Panic"`, `error.detail: nothing → {"value": "oh"}`, `error.cause[0]: "lagged: 3 messages came faster than this subscriber took them, and were dropped for it" → nothing`,
	})
}

// A payload that is too long to be written in the notation is compared part by part, too. A map's
// entries have no order.
func TestReplayComparesLargeAnswers(t *testing.T) {
	type report struct {
		Took int
		Seen map[string]int
	}
	survey := contract.Func[int, report]("survey")
	plugin := func(took, last int) trellistest.Plugin {
		return trellistest.Plugin{Endpoints: []contract.Handler{survey.Handle(func(_ context.Context, n int) (report, error) {
			seen := map[string]int{}
			for i := range n {
				seen[fmt.Sprintf("key-%020d", i)] = i
			}
			seen["last"] = last
			return report{Took: took, Seen: seen}, nil
		})}}
	}
	file := recorded(t, plugin(1, 7), func(t *testing.T, portal contract.Portal) {
		if r, err := survey.Call(t.Context(), portal, 20_000); err != nil || len(r.Seen) != 20_001 {
			t.Error(len(r.Seen), err)
		}
	})
	wantReplayed(t, file, plugin(1, 7), nil)
	wantReplayed(t, file, plugin(2, 7), nil, trellistest.Ignore("answer.Took"))
	wantReplayed(t, file, plugin(1, 8), []string{"answer.Seen.last: 7 → 8"})
}

// counter serves count: the numbers that f gives, below n.
func counter(f func(i int) int) trellistest.Plugin {
	return trellistest.Plugin{Endpoints: []contract.Handler{
		counts.Handle(func(_ context.Context, n int) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for i := 0; i < n || n < 0; i++ {
					if v := f(i); v >= 0 && !yield(v, nil) {
						return
					}
				}
			}
		}),
	}}
}

func same(i int) int { return i }

func TestReplayOfASource(t *testing.T) {
	file := recorded(t, counter(same), func(t *testing.T, portal contract.Portal) {
		for _, err := range counts.Stream(t.Context(), portal, 300) {
			if err != nil {
				t.Error(err)
			}
		}
	})
	wantReplayed(t, file, counter(same), nil)
	wantReplayed(t, file, counter(func(i int) int {
		if i == 299 {
			return -1
		}
		return i
	}), []string{"line 5: count: message[299]: 299 → nothing"})
	wantReplayed(t, file, counter(func(i int) int {
		if i == 7 {
			return 70
		}
		return i
	}), []string{"count: message[7]: 7 → 70"})
}

// A consumer that has stopped stops again after as many messages; what crosses its cancel does not
// matter.
func TestReplayOfACancel(t *testing.T) {
	file := recorded(t, counter(same), func(t *testing.T, portal contract.Portal) {
		for v, err := range counts.Stream(t.Context(), portal, -1) {
			if err != nil {
				t.Error(err)
			}
			if v == 100 {
				break
			}
		}
	})
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), "-> CANCEL 2") {
		t.Fatalf("%v: %s", err, text)
	}
	wantReplayed(t, file, counter(same), nil)
	wantReplayed(t, file, counter(func(i int) int { return i % 50 }), nil, trellistest.Ignore("message"))
	if got := replayed(t, file, counter(func(i int) int {
		if i == 50 {
			return 0
		}
		return i
	})); len(got) != 1 || !strings.Contains(got[0], "count: message[50]: 50 → 0") {
		t.Errorf("%q", got)
	}
}

// shouter serves shout: it answers commands, and returns how many there were.
func shouter(answer func(string) string) trellistest.Plugin {
	return trellistest.Plugin{Endpoints: []contract.Handler{
		shout.Handle(func(ctx context.Context, suffix string, c *contract.Callee[string, string, string]) (n int, err error) {
			if err := c.Started("ready"); err != nil {
				return 0, err
			}
			stream, err := c.Stream(contract.StreamOptions{})
			if err != nil {
				return 0, err
			}
			for command, err := range stream.All(ctx) {
				if err != nil {
					return n, err
				}
				n++
				if err := stream.Send(ctx, answer(command)+suffix); err != nil {
					return n, err
				}
			}
			return n, nil
		}),
	}}
}

// converse says commands, and reads an answer to each.
func converse(t *testing.T, portal contract.Portal, commands ...string) {
	t.Helper()
	n, err := shout.Open(t.Context(), portal, "!", func(ctx context.Context, c *contract.Opener[string, string, string, int]) error {
		stream, err := c.Stream(contract.StreamOptions{Window: contract.Window{Messages: 2}})
		if err != nil {
			return err
		}
		for _, command := range commands {
			if err := stream.Send(ctx, command); err != nil {
				return err
			}
			if _, err := stream.Recv(ctx); err != nil {
				return err
			}
		}
		stream.CloseSend()
		if _, err := stream.Recv(ctx); !errors.Is(err, io.EOF) {
			return fmt.Errorf("behind the last answer: %w", err)
		}
		return nil
	})
	if err != nil || n != len(commands) {
		t.Errorf("%d, %v", n, err)
	}
}

func TestReplayOfAContext(t *testing.T) {
	var commands []string
	for i := range 200 { // more than a window has
		commands = append(commands, fmt.Sprintf("c%d", i))
	}
	file := recorded(t, shouter(strings.ToUpper), func(t *testing.T, portal contract.Portal) { converse(t, portal, commands...) })
	wantReplayed(t, file, shouter(strings.ToUpper), nil)
	wantReplayed(t, file, shouter(func(s string) string { return strings.Replace(strings.ToUpper(s), "C150", "c150", 1) }), []string{
		`line 5: shout: message[150]: "C150!" → "c150!"`,
	})
}

// translator serves parse, and asks its host for each word.
func translator(words ...string) trellistest.Plugin {
	return trellistest.Plugin{Endpoints: []contract.Handler{
		parse.Handle(func(ctx context.Context, _ string) (p parts, err error) {
			for _, word := range words {
				text, err := lookup.Call(ctx, sdk.Parent(ctx), word)
				if err != nil {
					return p, err
				}
				p.Items = append(p.Items, item{text})
			}
			return p, nil
		}),
	}}
}

// What the plugin calls in its host is answered from the recording.
func TestReplayPlaysTheParent(t *testing.T) {
	p := translator("a", "b")
	p.Parent = []contract.Handler{lookup.Handle(func(_ context.Context, word string) (string, error) { return word + word, nil })}
	file := recorded(t, p, func(t *testing.T, portal contract.Portal) {
		if _, err := parse.Call(t.Context(), portal, ""); err != nil {
			t.Error(err)
		}
	})
	wantReplayed(t, file, translator("a", "b"), nil)
	wantReplayed(t, file, translator("b", "a"), []string{
		`line 5: parse: answer.Items[0].Name: "aa" → "bb"`, `line 5: parse: answer.Items[1].Name: "bb" → "aa"`,
	})
	wantReplayed(t, file, translator("a", "c"), []string{`call of lookup: arguments: "b" → "c"`})
	wantReplayed(t, file, translator("a", "b", "c"), []string{
		`ending: answer {"Items": [{"Name": "aa"}, {"Name": "bb"}], "Took": 0} → error "the recording has no such call of \"lookup\", or no more of them"`,
		`not recorded: call of lookup: arguments: nothing → "c"`,
	})
	synctest.Test(t, func(t *testing.T) { // what does not come is waited for
		wantReplayed(t, file, translator("a"), []string{
			`line 5: parse: answer.Items[1]: {"Name": "bb"} → nothing`,
			`call of lookup: arguments: "b" → nothing`,
		})
	})
}

func TestReplayRefuses(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"": "Replay: FILE: line 1: expected trellis recording 1, got an empty file",
		"trellis recording 1\n== a@00000000: now\n-> BYE\n": "Replay: FILE is incomplete: it was cut off: its last line is missing; trellistest.Incomplete() replays what is there",
		"trellis recording 1\n-- end\n":                     "Replay: FILE has nothing to replay: the actor was never linked",
	} {
		file := filepath.Join(dir, "a.rec")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		wantReplayed(t, file, trellistest.Plugin{}, []string{want})
	}
	wantReplayed(t, filepath.Join(dir, "none"), trellistest.Plugin{}, []string{"no such file or directory"})
}

// quitter serves shout: it sends n messages, and then waits until it is told to end, or cancels.
func quitter(n int, cancel string) trellistest.Plugin {
	return trellistest.Plugin{Endpoints: []contract.Handler{
		shout.Handle(func(ctx context.Context, _ string, c *contract.Callee[string, string, string]) (int, error) {
			if err := c.Started("ready"); err != nil {
				return 0, err
			}
			stream, err := c.Stream(contract.StreamOptions{})
			if err != nil {
				return 0, err
			}
			for i := range n {
				if err := stream.Send(ctx, fmt.Sprint(i)); err != nil {
					return 0, err
				}
			}
			if cancel != "" {
				return 0, c.Cancel(ctx, cancel)
			}
			<-ctx.Done()
			return 0, context.Cause(ctx)
		}),
	}}
}

// receive opens shout, takes n messages, and does what end does.
func receive(ctx context.Context, portal contract.Portal, n int, end func(ctx context.Context, c *contract.Opener[string, string, string, int]) error) error {
	_, err := shout.Open(ctx, portal, "", func(ctx context.Context, c *contract.Opener[string, string, string, int]) error {
		stream, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		for range n {
			if _, err := stream.Recv(ctx); err != nil {
				return err
			}
		}
		return end(ctx, c)
	})
	return err
}

// However a context ends, it ends so again, and at the same message.
func TestReplayOfEndings(t *testing.T) {
	type opener = contract.Opener[string, string, string, int]
	errMine := errors.New("mine")
	for name, test := range map[string]struct {
		plugin, other trellistest.Plugin
		end           func(ctx context.Context, c *opener) error
		timeout       time.Duration
		want          error
		differs       []string // to the other
	}{
		"cancelled": {
			plugin: quitter(3, ""), other: quitter(2, ""),
			end:     func(ctx context.Context, c *opener) error { return c.Cancel(ctx, "enough") },
			differs: []string{`shout: message[2]: "2" → nothing`},
		},
		"opener fails": {
			plugin: quitter(3, ""), other: quitter(4, ""), want: errMine,
			end: func(context.Context, *opener) error { return errMine },
		},
		"callee cancels": {
			plugin: quitter(3, "no time"), other: quitter(3, "no wish"), want: context.Canceled,
			end: func(ctx context.Context, _ *opener) error { <-ctx.Done(); return context.Cause(ctx) },
			// What the host has failed with says "no time", and so does the echo of that.
			differs: []string{`shout: cancel: "no time" → "no wish"`},
		},
		"deadline": {
			plugin: quitter(3, ""), other: quitter(3, "no wish"), want: context.DeadlineExceeded, timeout: time.Minute,
			end: func(ctx context.Context, _ *opener) error { <-ctx.Done(); return context.Cause(ctx) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file := recordedHere(t, test.plugin, func(portal contract.Portal) {
					ctx := t.Context()
					if test.timeout > 0 {
						limited, cancel := context.WithTimeout(ctx, test.timeout)
						defer cancel()
						ctx = limited
					}
					if err := receive(ctx, portal, 3, test.end); !errors.Is(err, test.want) {
						t.Errorf("%v, want %v", err, test.want)
					}
				})
				wantReplayed(t, file, test.plugin, nil)
				if test.differs != nil {
					wantReplayed(t, file, test.other, test.differs)
				} else if got := replayed(t, file, test.other); name == "deadline" && len(got) == 0 {
					t.Error("no difference")
				}
			})
		})
	}
}

// recordedHere is recorded for a test in a bubble, which has no subtests.
func recordedHere(t *testing.T, p trellistest.Plugin, body func(portal contract.Portal)) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "actor.rec")
	var text bytes.Buffer
	p.Name, p.Record = "parser", &text
	o := &owner{TB: t}
	body(p.Serve(o))
	for _, f := range slices.Backward(o.cleanups) {
		f()
	}
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// owner is a test whose end comes before that of the test that it is.
type owner struct {
	testing.TB

	cleanups []func()
}

func (o *owner) Cleanup(f func()) { o.cleanups = append(o.cleanups, f) }

// A recording that was cut off is played as far as it goes.
func TestReplayOfWhatIsThere(t *testing.T) {
	file := recorded(t, counter(same), func(t *testing.T, portal contract.Portal) {
		for _, err := range counts.Stream(t.Context(), portal, 9) {
			if err != nil {
				t.Error(err)
			}
		}
	})
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, _, ok := strings.Cut(string(text), "<- YIELD 2 5\n")
	if !ok {
		t.Fatalf("no message 5 in\n%s", text)
	}
	if err := os.WriteFile(file, []byte(before+"<- YIE"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantReplayed(t, file, counter(same), nil, trellistest.Incomplete())
	wantReplayed(t, file, counter(func(i int) int { return i + i/4 }), []string{"count: message[4]: 4 → 5"}[:1], trellistest.Incomplete())
}

// Calls by hand have JSON, which is compared as what it means.
func TestReplayOfJSON(t *testing.T) {
	serve := func(text string) trellistest.Plugin {
		return trellistest.Plugin{Endpoints: []contract.Handler{
			contract.FuncByHand("raw").Handle(func(context.Context, json.RawMessage) (json.RawMessage, error) { return json.RawMessage(text), nil }),
		}}
	}
	file := recorded(t, serve(`{"a": [1, 2.5, "ä"], "b": null}`), func(t *testing.T, portal contract.Portal) {
		if _, err := contract.FuncByHand("raw").Call(t.Context(), portal, json.RawMessage(`{"x":1}`)); err != nil {
			t.Error(err)
		}
	})
	wantReplayed(t, file, serve(`{"b":null,"a":[1,2.5,"ä"]}`), nil)
	wantReplayed(t, file, serve(`{"b":0,"a":[1,2,"ä"]}`), []string{`raw: answer.a[1]: 2.5_3 → 2`, `raw: answer.b: null → 0`})
}
