package mcp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	sdkmcp "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// closing is how long a server may take to end when its input has ended, before it gets SIGTERM.
const closing = 500 * time.Millisecond

// Serve is the last call of the main function of a plugin: it starts an MCP server that speaks over its standard input and output,
// and serves its tools as endpoints, each a func from the tool's arguments to its result, both JSON, and one named "mcp-tools", which
// says what they take. Where a name has characters that an endpoint's cannot have, there is a "_".
//
// The server ends with the plugin, and the plugin with the server: whoever supervises it starts both again. What the server prints
// to standard error is logged. A tool that fails is an error to the caller; a call that is cancelled is cancelled at the server.
func Serve(command ...string) {
	if err := serve(command); err != nil {
		fmt.Fprintf(os.Stderr, "mcp: %v\n", err)
		os.Exit(1)
	}
}

func serve(command []string) error {
	if len(command) == 0 {
		return errors.New("expected the command of an MCP server, got none")
	}
	ctx := context.Background()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	diesWithParent(cmd)
	client := sdkmcp.NewClient(&sdkmcp.Implementation{Name: "trellis", Version: "1"}, nil)
	session, err := client.Connect(ctx, &sdkmcp.CommandTransport{Command: cmd, TerminateDuration: closing}, nil)
	if err != nil {
		return fmt.Errorf("the server %q does not begin as an MCP server: %w", command[0], err)
	}
	endpoints, err := endpointsOf(ctx, session)
	if err != nil {
		return errors.Join(err, session.Close())
	}
	sdk.Plugin{Endpoints: endpoints, Around: func(ctx context.Context, serving func(ctx context.Context) error) error {
		return whileItLives(ctx, session, serving)
	}}.Serve()
	return nil
}

// whileItLives serves until the server has ended, and ends it.
func whileItLives(ctx context.Context, session *sdkmcp.ClientSession, serving func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var gone error
	waiting := task.Start(func() {
		gone = fmt.Errorf("the MCP server has ended: %w", cmp.Or(session.Wait(), errEnded))
		cancel(gone)
	})
	err := serving(ctx)
	if failed := session.Close(); failed != nil && err == nil {
		slog.Debug("the MCP server has not ended well", "error", failed)
	}
	waiting.Wait()
	return err
}

// toolsEndpoint is where an MCP server that is an actor says which tools it has.
const toolsEndpoint = "mcp-tools"

var toolsOf = contract.Func[struct{}, json.RawMessage](toolsEndpoint)

var errEnded = errors.New("its output has ended")

// endpointsOf are the tools of a server.
func endpointsOf(ctx context.Context, session *sdkmcp.ClientSession) (all []contract.Handler, err error) {
	var found []*sdkmcp.Tool
	names := map[string]string{toolsEndpoint: ""}
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			return nil, fmt.Errorf("the tools of the server: %w", err)
		}
		name := unnamed.ReplaceAllString(tool.Name, "_")
		if _, twice := names[name]; twice {
			return nil, fmt.Errorf("the server has two tools that would be the endpoint %q: %q and %q", name, names[name], tool.Name)
		}
		names[name] = tool.Name
		found = append(found, tool)
		all = append(all, contract.Func[json.RawMessage, json.RawMessage](name).Handle(func(ctx context.Context, args json.RawMessage) (json.RawMessage, error) {
			return use(ctx, session, tool.Name, args)
		}))
	}
	return append(all, toolsOf.Handle(func(context.Context, struct{}) (json.RawMessage, error) { return json.Marshal(found) })), nil
}

// use calls a tool.
func use(ctx context.Context, session *sdkmcp.ClientSession, tool string, args json.RawMessage) (json.RawMessage, error) {
	r, err := session.CallTool(ctx, &sdkmcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		return nil, err
	}
	if r.IsError {
		var texts []string
		for _, c := range r.Content {
			if text, is := c.(*sdkmcp.TextContent); is {
				texts = append(texts, text.Text)
			}
		}
		return nil, errors.New(cmp.Or(strings.Join(texts, "\n"), "the tool has failed, and does not say why"))
	}
	return json.Marshal(r)
}
