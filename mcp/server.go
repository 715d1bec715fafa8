package mcp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	sdkmcp "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Options say what an agent may do. The zero value lets it look, and call what the rules of the tree let it call.
type Options struct {
	// Orders lets it restart and cancel actors.
	Orders bool
}

// Bounds of what one tool gives: an agent reads all of it.
const (
	usualRecords = 100
	mostRecords  = 1000
	mostMessages = 1000
)

const instructions = `A tree of actors: plugin programs that a host supervises. An actor has a path such as "census/parser#2", a state, and endpoints.
Begin with the tool actors. describe says why an actor is as it is; logs and traces what has happened. Tools named after an actor and its
endpoint call it; whether a call is allowed decides the callee, and its refusal says what would allow it.`

// NewServer makes an MCP server for the tree that ctx is in: that of a nursery's body, or of the body of host.Join. Its tools follow
// the tree until ctx ends.
func NewServer(ctx context.Context, o Options) *sdkmcp.Server {
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = cmp.Or(info.Main.Version, version)
	}
	s := sdkmcp.NewServer(&sdkmcp.Implementation{Name: "trellis", Title: "A tree of actors", Version: version}, &sdkmcp.ServerOptions{Instructions: instructions})
	t := &tree{ctx: ctx}
	looks := &sdkmcp.ToolAnnotations{ReadOnlyHint: true}
	sdkmcp.AddTool(s, &sdkmcp.Tool{Name: "actors", Annotations: looks, Description: "List the actors of the tree, each below its host, with their states and endpoints."}, t.actors)
	sdkmcp.AddTool(s, &sdkmcp.Tool{Name: "describe", Annotations: looks, Description: "Say what is known of one actor: process, why it is in its state, restarts, health, what it uses, open contexts and what they wait for, last records, endpoints with their schemas."}, t.describe)
	sdkmcp.AddTool(s, &sdkmcp.Tool{Name: "logs", Annotations: looks, Description: "Read what actors have logged and printed, and what has become of them, oldest first."}, t.logs)
	sdkmcp.AddTool(s, &sdkmcp.Tool{Name: "traces", Annotations: looks, Description: "Read the spans of calls, starts and ends, where the host keeps them."}, t.traces)
	sdkmcp.AddTool(s, &sdkmcp.Tool{Name: "stream", Description: "Read messages of a source of an actor, which ends when there are as many as are wanted."}, t.stream)
	if o.Orders {
		sdkmcp.AddTool(s, &sdkmcp.Tool{Name: "restart", Description: "End the process of an actor, start another one, and wait until that is ready."}, t.order(wire.OrderRestart))
		sdkmcp.AddTool(s, &sdkmcp.Tool{Name: "cancel", Description: "End an actor for good, and wait until it has ended."}, t.order(wire.OrderCancel))
	}
	newTools(t, s).begin()
	return s
}

// tree is what the tools ask. Each call runs in the tree's ctx, and ends with that of its own.
type tree struct {
	ctx context.Context //nolint:containedctx // of the tree, in which it is asked
}

func (t *tree) within(call context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(t.ctx)
	stop := context.AfterFunc(call, func() { cancel(context.Cause(call)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// result is a document as the content of a result.
func result(v any, err error) (*sdkmcp.CallToolResult, any, error) {
	if err != nil {
		return nil, nil, errors.New(fault.Line(err)) // an agent reads one line
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, nil, err
	}
	return &sdkmcp.CallToolResult{Content: []sdkmcp.Content{&sdkmcp.TextContent{Text: string(text)}}}, nil, nil
}

func (t *tree) actors(call context.Context, _ *sdkmcp.CallToolRequest, _ struct{}) (*sdkmcp.CallToolResult, any, error) {
	ctx, cancel := t.within(call)
	defer cancel()
	entries, err := directory.Query(ctx, "")
	return result(document.Listing{Version: document.Version, Actors: document.Nested(document.OfEntries(entries))}, err)
}

type whichActor struct {
	Actor string `json:"actor" jsonschema:"its name, if only one has it, or its path; \"\" is the host itself"`
}

func (t *tree) describe(call context.Context, _ *sdkmcp.CallToolRequest, in whichActor) (*sdkmcp.CallToolResult, any, error) {
	ctx, cancel := t.within(call)
	defer cancel()
	asked := inspect.Tree{Registry: directory.From(ctx), Records: telemetry.From(ctx), Ask: inspect.Order}
	a, err := asked.Actor(ctx, wire.OrderRequest{Name: in.Actor, Do: wire.OrderDescribe})
	if err != nil {
		return result(nil, err)
	}
	return result(document.Describe(a), nil)
}

type whichRecords struct {
	Actor string `json:"actor,omitempty" jsonschema:"only of this actor, and of all below it"`
	Level string `json:"level,omitempty" jsonschema:"debug, info, warn or error: this one and above; info if it is left out"`
	Grep  string `json:"grep,omitempty" jsonschema:"a regular expression that is found in the line"`
	Since string `json:"since,omitempty" jsonschema:"how long ago at most, such as 10m"`
	Trace string `json:"trace,omitempty" jsonschema:"only of the trace of this id"`
	Most  int    `json:"most,omitempty" jsonschema:"how many of the last ones: 100 if it is left out, 1000 at most"`
}

func (w *whichRecords) filter() (f telemetry.Filter, most int, err error) {
	f = telemetry.Filter{Actor: w.Actor, Grep: w.Grep, Trace: w.Trace, Level: slog.LevelInfo}
	if w.Level != "" {
		if err := f.Level.UnmarshalText([]byte(w.Level)); err != nil {
			return f, 0, fmt.Errorf("level: expected debug, info, warn or error, got %q", w.Level)
		}
	}
	if w.Since != "" {
		ago, err := time.ParseDuration(w.Since)
		if err != nil {
			return f, 0, fmt.Errorf("since: expected a duration such as 10m, got %q", w.Since)
		}
		f.Since = time.Now().Add(-ago)
	}
	if _, err = f.Compile(); err != nil {
		return f, 0, fmt.Errorf("grep: %w", err)
	}
	return f, min(cmp.Or(w.Most, usualRecords), mostRecords), nil
}

func (t *tree) logs(call context.Context, _ *sdkmcp.CallToolRequest, in whichRecords) (*sdkmcp.CallToolResult, any, error) {
	ctx, cancel := t.within(call)
	defer cancel()
	f, most, err := in.filter()
	if err != nil {
		return result(nil, err)
	}
	kept, lost, err := document.Last(telemetry.From(ctx).Watch(ctx, f), most)
	records := []document.Record{}
	for i := range kept {
		records = append(records, document.OfRecord(&kept[i]))
	}
	return result(map[string]any{"lost": lost, "records": records}, err)
}

func (t *tree) traces(call context.Context, _ *sdkmcp.CallToolRequest, in whichRecords) (*sdkmcp.CallToolResult, any, error) {
	ctx, cancel := t.within(call)
	defer cancel()
	f, most, err := in.filter()
	if err != nil {
		return result(nil, err)
	}
	spans, lost, err := document.Last(telemetry.From(ctx).WatchSpans(ctx, f), most)
	return result(map[string]any{"lost": lost, "spans": spans}, err)
}

type whichStream struct {
	Actor     string `json:"actor" jsonschema:"its name, or its path"`
	Endpoint  string `json:"endpoint" jsonschema:"the name of a source of it"`
	Arguments any    `json:"arguments,omitempty" jsonschema:"as its schema says, which describe tells"`
	Most      int    `json:"most,omitempty" jsonschema:"how many messages: 100 if it is left out, 1000 at most"`
}

func (t *tree) stream(call context.Context, _ *sdkmcp.CallToolRequest, in whichStream) (*sdkmcp.CallToolResult, any, error) {
	ctx, cancel := t.within(call)
	defer cancel()
	args, err := json.Marshal(in.Arguments)
	if err != nil {
		return result(nil, err)
	}
	if in.Arguments == nil {
		args = []byte("{}")
	}
	most, messages := min(cmp.Or(in.Most, usualRecords), mostMessages), []json.RawMessage{}
	for message, err := range contract.SourceByHand(in.Endpoint).Stream(ctx, directory.ByName(ctx, in.Actor), args) {
		if err != nil {
			return result(nil, err)
		}
		if messages = append(messages, slices.Clone(message)); len(messages) == most {
			return result(map[string]any{"ended": false, "messages": messages}, nil)
		}
	}
	return result(map[string]any{"ended": true, "messages": messages}, nil)
}

func (t *tree) order(do string) sdkmcp.ToolHandlerFor[whichActor, any] {
	return func(call context.Context, _ *sdkmcp.CallToolRequest, in whichActor) (*sdkmcp.CallToolResult, any, error) {
		ctx, cancel := t.within(call)
		defer cancel()
		if in.Actor == "" {
			return result(nil, errors.New("the host itself cannot be ended or started from here; say which actor"))
		}
		_, err := inspect.Order(ctx, wire.OrderRequest{Name: in.Actor, Do: do, By: "mcp"})
		return result(map[string]string{do: in.Actor}, err)
	}
}
