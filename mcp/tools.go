package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	sdkmcp "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// mostTools is how many endpoints are shown as tools. An agent reads all of them.
const (
	mostTools       = 256
	mostDescription = 4 << 10         // bytes
	patience        = 5 * time.Second // for what an MCP server says of its tools
)

// tools are the funcs of the actors that are ready. They follow the tree in a goroutine of their own, which ends with it. Of several
// actors that differ in their number only, one tool calls the one that has least to do.
type tools struct {
	tree   *tree
	server *sdkmcp.Server
	shown  map[string]offer  // by the paths of actors
	owners map[string]string // the paths of actors by the names of tools
}

// offer is what is shown of an actor.
type offer struct {
	process string            // the one that was asked, by its UUID
	tools   map[string]string // by name, the schema as it is shown
}

func newTools(t *tree, s *sdkmcp.Server) *tools {
	return &tools{tree: t, server: s, shown: map[string]offer{}, owners: map[string]string{}}
}

// begin shows what is there, and then follows.
func (o *tools) begin() {
	o.renew()
	task.Start(func() { // it ends with the tree
		for e, err := range directory.Watch(o.tree.ctx, "") {
			if err == nil && !document.IsCommand(&e) {
				o.renew()
			}
		}
	})
}

// renew asks the processes that are new, and withdraws the tools of actors that are gone. One that is not ready keeps its
// tools while it is there: its calls wait, or say why not.
func (o *tools) renew() {
	ctx := o.tree.ctx
	asked := inspect.Tree{Registry: directory.From(ctx), Ask: inspect.Order, Without: document.IsCommand}
	entries, err := asked.Entries(ctx, "")
	if err != nil {
		return // the tree is about to end, which the loop finds out
	}
	there := map[string]bool{}
	var fresh []directory.Entry
	for _, e := range entries {
		if e.Path == "" || strings.Contains(e.Path, "#") {
			continue
		}
		there[e.Path] = e.State != directory.Gone
		if e.State.Callable() && o.shown[e.Path].process != e.Actor.UUID {
			fresh = append(fresh, e)
		}
	}
	for path := range o.shown {
		if !there[path] {
			o.replace(path, offer{})
		}
	}
	for a := range asked.Each(ctx, fresh, wire.OrderDescribe) {
		if len(a.Endpoints) > 0 || a.Silent == "" { // else nothing is known, and it is asked again at the next event
			o.offer(a)
		}
	}
}

// offer shows what an actor serves now.
func (o *tools) offer(a *inspect.Actor) {
	d := document.Describe(a)
	now := offer{a.UUID, map[string]string{}}
	theirs, err := o.theirs(d)
	if err != nil {
		now.process = "" // they are shown as the contract has them, until another event
	}
	for _, e := range d.Endpoints {
		if e.Name != toolsEndpoint && (e.Kind == "func" || listens(e)) {
			o.show(now, a.Path, e, theirs[e.Name])
		}
	}
	o.replace(a.Path, now)
}

// replace withdraws what was shown of an actor, and is not any more.
func (o *tools) replace(path string, now offer) {
	var gone []string
	for name := range o.shown[path].tools {
		if _, stays := now.tools[name]; !stays {
			gone = append(gone, name)
			delete(o.owners, name)
		}
	}
	if len(gone) > 0 {
		o.server.RemoveTools(gone...)
	}
	if o.shown[path] = now; now.tools == nil {
		delete(o.shown, path)
	}
}

// theirs are the tools of an actor that is an MCP server, by the names of their endpoints: it says more of them than its contract.
func (o *tools) theirs(d *document.Description) (named map[string]*sdkmcp.Tool, err error) {
	if !slices.ContainsFunc(d.Endpoints, func(e *document.Endpoint) bool { return e.Name == toolsEndpoint && e.Kind == "func" }) {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(o.tree.ctx, patience)
	defer cancel()
	text, err := toolsOf.Call(ctx, directory.ByName(ctx, treepath.Exact(d.Path)), struct{}{})
	var all []*sdkmcp.Tool
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	named = map[string]*sdkmcp.Tool{}
	for _, t := range all {
		named[unnamed.ReplaceAllString(t.Name, "_")] = t
	}
	return named, err
}

// unnamed is what a tool's name cannot have.
var unnamed = regexp.MustCompile(`[^a-zA-Z0-9_-]+`)

// show adds a tool, unless it is shown as it is already.
func (o *tools) show(now offer, path string, e *document.Endpoint, theirs *sdkmcp.Tool) {
	name := unnamed.ReplaceAllString(path+"_"+e.Name, "_")
	schema, whole := inputSchema(path, e)
	description := fmt.Sprintf("Call %s of the actor %s.", e.Name, path)
	if listens(e) {
		description = fmt.Sprintf("Open %s of the actor %s, and wait for its result. What it sends until then comes as progress.", e.Name, path)
	}
	if theirs != nil {
		if s, is := theirs.InputSchema.(map[string]any); is && s["type"] == "object" {
			schema, whole, description = s, true, words.Clip(theirs.Description, mostDescription)
		}
	}
	text, err := json.Marshal(schema)
	owner, taken := o.owners[name]
	if err != nil || taken && owner != path || !taken && len(o.owners) >= mostTools || len(name) > 64 {
		return
	}
	if _, twice := now.tools[name]; twice {
		return
	}
	o.owners[name], now.tools[name] = path, string(text)
	if o.shown[path].tools[name] == now.tools[name] {
		return
	}
	o.server.AddTool(&sdkmcp.Tool{Name: name, InputSchema: schema, Description: description}, o.tool(path, e, whole, theirs != nil))
}

// tool is what a tool does: it calls an endpoint. ready says that its answer is a result of a tool already.
func (o *tools) tool(path string, e *document.Endpoint, whole, ready bool) sdkmcp.ToolHandler {
	return func(call context.Context, r *sdkmcp.CallToolRequest) (*sdkmcp.CallToolResult, error) {
		args, err := argumentsOf(r, whole)
		var answer json.RawMessage
		switch {
		case err != nil:
		case listens(e):
			answer, err = o.tree.open(call, path, e.Name, args, r)
		default:
			answer, err = o.tree.call(call, path, e.Name, args)
		}
		if err != nil {
			return &sdkmcp.CallToolResult{IsError: true, Content: []sdkmcp.Content{&sdkmcp.TextContent{Text: fault.Line(err)}}}, nil // an agent may do something about it
		}
		var its sdkmcp.CallToolResult
		if ready && json.Unmarshal(answer, &its) == nil {
			return &its, nil
		}
		return &sdkmcp.CallToolResult{Content: []sdkmcp.Content{&sdkmcp.TextContent{Text: string(answer)}}}, nil
	}
}

// inputSchema is that of a tool, which is of an object: the arguments themselves, or an object around them.
func inputSchema(path string, e *document.Endpoint) (schema map[string]any, whole bool) {
	schema = maps.Clone(e.Schemas["arguments"])
	if schema == nil {
		schema = map[string]any{}
	}
	if schema["type"] == "object" && schema["properties"] != nil {
		return schema, true
	}
	schema["$id"] = "urn:trellis:" + path + "/" + e.Name // what refers to its root means this
	return map[string]any{"type": "object", "properties": map[string]any{"arguments": schema}, "required": []string{"arguments"}}, false
}

// listens reports whether an endpoint is a context to which nothing is sent: its opener has its arguments to give, and then listens.
func listens(e *document.Endpoint) bool {
	fields, is := e.Schemas["command"]["properties"].(map[string]any)
	return e.Kind == "context" && is && len(fields) == 0
}

// argumentsOf are those of a call: what the agent gives, or what is in it, as [inputSchema] has it.
func argumentsOf(r *sdkmcp.CallToolRequest, whole bool) (json.RawMessage, error) {
	args := r.Params.Arguments
	if len(args) == 0 {
		args = json.RawMessage("{}")
	}
	if whole {
		return args, nil
	}
	var wrapped struct {
		Arguments json.RawMessage `json:"arguments"`
	}
	if err := json.Unmarshal(args, &wrapped); err != nil {
		return nil, fmt.Errorf("expected an object with arguments: %w", err)
	}
	return wrapped.Arguments, nil
}

// call calls a func, of whichever actor at a path has least to do.
func (t *tree) call(call context.Context, path, endpoint string, args json.RawMessage) (json.RawMessage, error) {
	ctx, cancel := t.within(call)
	defer cancel()
	return contract.FuncByHand(endpoint).Call(ctx, directory.Spread(ctx, path), args)
}

// open opens a context to which nothing is sent. An agent that has asked for progress is told each message; one that does not take
// them holds the context's stream up, and nothing else.
func (t *tree) open(call context.Context, path, endpoint string, args json.RawMessage, r *sdkmcp.CallToolRequest) (json.RawMessage, error) {
	ctx, cancel := t.within(call)
	defer cancel()
	reading := contract.ContextByHand(endpoint).With(contract.ContextOptions{Reading: true})
	return reading.Open(ctx, directory.Spread(ctx, path), args, func(ctx context.Context, c *contract.Opener[json.RawMessage, json.RawMessage, json.RawMessage, json.RawMessage]) error {
		stream, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		stream.CloseSend()
		told := &sdkmcp.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken()}
		for message, err := range stream.All(ctx) {
			if told.Progress, told.Message = told.Progress+1, string(message); err == nil && told.ProgressToken != nil {
				err = r.Session.NotifyProgress(ctx, told)
			}
			if err != nil {
				return err
			}
		}
		_, err = c.Wait(ctx)
		return err
	})
}
