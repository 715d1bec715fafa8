package mcp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	sdkmcp "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/mcp"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// This program is also the plugin of an MCP server, and that server.
func TestMain(m *testing.M) {
	switch role := os.Getenv("MCP_ROLE"); role {
	case "":
		os.Exit(m.Run())
	case "server":
		serveTools()
	case "nothing":
		fmt.Fprintln(os.Stderr, "this is no server")
	default: // a plugin: the role of its server
		if err := os.Setenv("MCP_ROLE", role[len("plugin of "):]); err != nil {
			panic(err)
		}
		mcp.Serve(os.Args[0])
	}
}

// serveTools is an MCP server with a tool of each kind.
func serveTools() {
	s := sdkmcp.NewServer(&sdkmcp.Implementation{Name: "tools", Version: "1"}, nil)
	type said struct {
		Text string `json:"text"`
	}
	text := func(text string) *sdkmcp.CallToolResult {
		return &sdkmcp.CallToolResult{Content: []sdkmcp.Content{&sdkmcp.TextContent{Text: text}}}
	}
	sdkmcp.AddTool(s, &sdkmcp.Tool{Name: "say it", Description: "Says it."}, func(_ context.Context, _ *sdkmcp.CallToolRequest, in said) (*sdkmcp.CallToolResult, any, error) {
		return text("you said " + in.Text), nil, nil
	})
	sdkmcp.AddTool(s, &sdkmcp.Tool{Name: "fail"}, func(context.Context, *sdkmcp.CallToolRequest, struct{}) (*sdkmcp.CallToolResult, any, error) {
		return nil, nil, errors.New("no such luck")
	})
	sdkmcp.AddTool(s, &sdkmcp.Tool{Name: "wait"}, func(ctx context.Context, _ *sdkmcp.CallToolRequest, _ struct{}) (*sdkmcp.CallToolResult, any, error) {
		fmt.Fprintln(os.Stderr, "waiting")
		<-ctx.Done()
		fmt.Fprintln(os.Stderr, "told to end")
		return nil, nil, ctx.Err()
	})
	sdkmcp.AddTool(s, &sdkmcp.Tool{Name: "die"}, func(context.Context, *sdkmcp.CallToolRequest, struct{}) (*sdkmcp.CallToolResult, any, error) {
		os.Exit(3)
		return nil, nil, nil
	})
	if err := s.Run(context.Background(), &sdkmcp.StdioTransport{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

var (
	greet = contract.Func[string, string]("greet")
	cook  = contract.Func[dish, string]("cook")
	count = contract.Source[int, int]("count")
	climb = contract.Context[int, none, none, int, string]("climb")
	talk  = contract.Context[none, none, string, string, none]("talk")
)

type none struct{}

type dish struct {
	Name string `json:"name"`
}

// agent connects a client to a server of a tree.
func agent(ctx context.Context, o mcp.Options, changed func()) (*sdkmcp.ClientSession, error) {
	near, far := sdkmcp.NewInMemoryTransports()
	if _, err := mcp.NewServer(ctx, o).Connect(ctx, far, nil); err != nil {
		return nil, err
	}
	client := sdkmcp.NewClient(&sdkmcp.Implementation{Name: "agent", Version: "1"}, &sdkmcp.ClientOptions{
		ToolListChangedHandler:      func(context.Context, *sdkmcp.ToolListChangedRequest) { changed() },
		ProgressNotificationHandler: told,
	})
	return client.Connect(ctx, near, nil)
}

// notes is where an agent's progress goes, which is asked for with it as a token.
var notes = make(chan string, 100)

func told(_ context.Context, r *sdkmcp.ProgressNotificationClientRequest) {
	notes <- fmt.Sprintf("%v: %v %s", r.Params.ProgressToken, r.Params.Progress, r.Params.Message)
}

// used is the text that a tool gives, with "! " in front if it has failed.
func used(ctx context.Context, t *testing.T, s *sdkmcp.ClientSession, tool, args string) string {
	t.Helper()
	r, err := s.CallTool(ctx, &sdkmcp.CallToolParams{Name: tool, Arguments: json.RawMessage(args)})
	if err != nil {
		return "!! " + err.Error()
	}
	text := r.Content[0].(*sdkmcp.TextContent).Text
	if r.IsError {
		text = "! " + text
	}
	return text
}

func toolNames(ctx context.Context, t *testing.T, s *sdkmcp.ClientSession) (names []string) {
	t.Helper()
	for tool, err := range s.Tools(ctx, nil) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, tool.Name)
	}
	return names
}

// A context to which nothing is sent is a tool. What it sends is progress, to an agent that wants it; it ends when the agent gives up.
func TestAContextIsATool(t *testing.T) {
	begun, ended := make(chan struct{}, 2), make(chan error, 2)
	programs := trellistest.NewPrograms(t, trellistest.Plugin{Name: "climber", Endpoints: []contract.Handler{
		climb.Handle(func(ctx context.Context, to int, c *contract.Callee[none, none, int]) (string, error) {
			if err := c.Started(none{}); err != nil {
				return "", err
			}
			s, err := c.Stream(contract.StreamOptions{})
			if err != nil {
				return "", err
			}
			for i := range to {
				if err := s.Send(ctx, i); err != nil {
					return "", err
				}
			}
			if to == 0 { // it is told to end
				begun <- struct{}{}
				<-ctx.Done()
				ended <- context.Cause(ctx)
			}
			return fmt.Sprintf("at %d", to), nil
		}),
		talk.Handle(func(context.Context, none, *contract.Callee[none, string, string]) (none, error) { return none{}, nil }),
	}})
	specs := []host.Spec{{Name: "climber", Command: []string{"climber"}}}
	err := host.OpenTree(programs.Context(), host.Options{}, specs, func(ctx context.Context, _ *host.Tree) error {
		s, err := agent(ctx, mcp.Options{}, func() {})
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }() // the tree ends it, too
		if names := toolNames(ctx, t, s); !slices.Contains(names, "climber_climb") || slices.Contains(names, "climber_talk") {
			t.Errorf("the tools are %v: expected climber_climb, and not climber_talk, to which messages are sent", names)
		}
		p := &sdkmcp.CallToolParams{Name: "climber_climb", Arguments: json.RawMessage(`{"arguments":3}`)}
		p.SetProgressToken("climb")
		r, err := s.CallTool(ctx, p)
		if err != nil {
			return err
		}
		if got := r.Content[0].(*sdkmcp.TextContent).Text; got != `"at 3"` {
			return errors.New(got)
		}
		for i := range 3 {
			if got, want := <-notes, fmt.Sprintf("climb: %d %d", i+1, i); got != want {
				t.Errorf("progress is %q, want %q", got, want)
			}
		}
		if got := used(ctx, t, s, "climber_climb", `{"arguments":5}`); got != `"at 5"` || len(notes) > 0 {
			t.Errorf("without a token: %s, and %d notes of progress", got, len(notes))
		}
		waiting, cancel := context.WithCancel(ctx)
		giving := task.Start(func() {
			<-begun
			cancel()
		})
		defer giving.Wait()
		if _, err := s.CallTool(waiting, &sdkmcp.CallToolParams{Name: "climber_climb", Arguments: json.RawMessage(`{"arguments":0}`)}); !errors.Is(err, context.Canceled) {
			t.Errorf("a call that was given up: %v", err)
		}
		if err := <-ended; err == nil {
			t.Error("the context has not been told of the end")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// An agent sees the tree, and calls what is in it. Its tools are those of the actors that are there.
func TestATreeForAgents(t *testing.T) {
	programs := trellistest.NewPrograms(t, trellistest.Plugin{Name: "greeter", Endpoints: []contract.Handler{
		greet.Handle(func(_ context.Context, name string) (string, error) { return "Hello, " + name, nil }),
		cook.Handle(func(_ context.Context, d dish) (string, error) { return "", fmt.Errorf("no %s today", d.Name) }),
		count.Handle(func(_ context.Context, to int) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for i := range to {
					if !yield(i, nil) {
						return
					}
				}
			}
		}),
	}})
	specs := []host.Spec{{Name: "greeter", Command: []string{"greeter"}, Replicas: 2}}
	err := host.OpenTree(programs.Context(), host.Options{}, specs, func(ctx context.Context, tree *host.Tree) error {
		changes := make(chan struct{}, 100)
		s, err := agent(ctx, mcp.Options{Orders: true}, func() { changes <- struct{}{} })
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }() // the tree ends it, too
		if got, want := fmt.Sprint(toolNames(ctx, t, s)), "[actors cancel describe greeter_cook greeter_greet logs restart stream traces]"; got != want {
			t.Errorf("the tools are %s, want %s", got, want)
		}
		for call, want := range map[string]string{
			`actors {}`:                                              `{"version":1,"actors":[{"path":"greeter",`,
			`describe {"actor":"greeter#2"}`:                         `{"version":1,"path":"greeter#2",`,
			`describe {"actor":""}`:                                  `{"version":1,"path":"",`,
			`describe {"actor":"nobody"}`:                            `! actor not found: "nobody"`,
			`logs {"level":"loud"}`:                                  `! level: expected debug, info, warn or error, got "loud"`,
			`logs {"level":"debug","actor":"greeter#2","most":1}`:    `{"lost":0,"records":[{"time":`,
			`traces {}`:                                              `! this host keeps no spans`,
			`greeter_greet {"arguments":"Ann"}`:                      `"Hello, Ann"`,
			`greeter_cook {"name":"soup"}`:                           `! greeter`,
			`greeter_cook {"nam":"soup"}`:                            `! `,
			`stream {"actor":"greeter","endpoint":"count","most":3}`: `! `,
			`stream {"actor":"greeter","endpoint":"count","arguments":9,"most":3}`: `{"ended":false,"messages":[0,1,2]}`,
			`stream {"actor":"greeter","endpoint":"count","arguments":2}`:          `{"ended":true,"messages":[0,1]}`,
			`restart {"actor":""}`:          `! the host itself cannot be ended`,
			`restart {"actor":"greeter#2"}`: `{"restart":"greeter#2"}`,
		} {
			tool, args, _ := strings.Cut(call, " ")
			if got := used(ctx, t, s, tool, args); !strings.HasPrefix(got, want) {
				t.Errorf("%s gives %s, want %s", call, got, want)
			}
		}
		if err := tree.Scale(ctx, "greeter", 0); err != nil {
			return err
		}
		for slices.Contains(toolNames(ctx, t, s), "greeter_greet") {
			<-changes
		}
		watcher, err := agent(ctx, mcp.Options{}, func() {})
		if err != nil {
			return err
		}
		defer func() { _ = watcher.Close() }()
		if names := toolNames(ctx, t, watcher); slices.Contains(names, "restart") || slices.Contains(names, "cancel") {
			t.Errorf("without orders the tools are %v", names)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// An MCP server is an actor: its tools are endpoints, it is told of a cancel, and comes back when it has died.
func TestAServerIsAnActor(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	specs := []host.Spec{{Name: "tools", Command: []string{self}, Env: map[string]string{"MCP_ROLE": "plugin of server"}, Restart: config.Permanent}}
	lines := newLines()
	err = host.OpenTree(t.Context(), host.Options{Log: slog.New(lines)}, specs, func(ctx context.Context, tree *host.Tree) error {
		p, err := tree.Portal("tools")
		if err != nil {
			return err
		}
		answer, err := contract.FuncByHand("say_it").Call(ctx, p, []byte(`{"text":"this"}`))
		if want := `"content":[{"type":"text","text":"you said this"}]`; err != nil || !strings.Contains(string(answer), want) {
			t.Errorf("got %s, %v; want %s", answer, err, want)
		}
		if _, err := contract.FuncByHand("fail").Call(ctx, p, []byte("{}")); err == nil || !strings.Contains(err.Error(), "no such luck") {
			t.Errorf("a tool that fails: %v", err)
		}
		waiting, cancel := context.WithCancel(ctx)
		telling := task.Start(func() {
			lines.await("waiting")
			cancel()
		})
		defer telling.Wait()
		if _, err := contract.FuncByHand("wait").Call(waiting, p, []byte("{}")); !errors.Is(err, context.Canceled) {
			t.Errorf("a call that is cancelled: %v", err)
		}
		lines.await("told to end")

		s, err := agent(ctx, mcp.Options{}, func() {})
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		if got := used(ctx, t, s, "tools_say_it", `{"text":"that"}`); got != "you said that" {
			t.Errorf("through two servers: %s", got)
		}
		if _, err := contract.FuncByHand("die").Call(ctx, p, []byte("{}")); err == nil {
			t.Error("a server that has died has answered")
		}
		for e, err := range directory.Watch(ctx, "tools") {
			if err != nil {
				return err
			}
			if e.To == directory.Ready && e.Epoch > 1 {
				break
			}
		}
		_, err = contract.FuncByHand("say_it").Call(ctx, p, []byte(`{"text":"again"}`))
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// What does not begin as an MCP server fails the start, which says so.
func TestWhatIsNoServer(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	specs := []host.Spec{{Name: "tools", Command: []string{self}, Env: map[string]string{"MCP_ROLE": "plugin of nothing"}}}
	err = host.OpenTree(t.Context(), host.Options{}, specs, func(context.Context, *host.Tree) error { return nil })
	if want := "does not begin as an MCP server"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q in it", err, want)
	}
}

// lines are those that a plugin has printed.
type lines struct {
	slog.Handler
	all chan string
}

func newLines() *lines { return &lines{slog.DiscardHandler, make(chan string, 1000)} }

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.all <- r.Message
	return nil
}

// await returns when a line has come.
func (l *lines) await(line string) {
	for <-l.all != line {
	}
}
