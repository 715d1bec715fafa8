package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	sdkmcp "github.com/modelcontextprotocol/go-sdk/mcp"
)

// agent is a program for scripts: a client of the Go SDK, which starts host mcp and uses one tool: agent census_count '{"root": "src"}' '{"done":2,'. It
// prints what the tool gives, and, where it has not failed, the progress that begins as the last argument says.
func agent() {
	if err := useTool(context.Background(), os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

func useTool(ctx context.Context, tool, args, progress string) error {
	told := make(chan string, 1)
	client := sdkmcp.NewClient(&sdkmcp.Implementation{Name: "agent", Version: "1"}, &sdkmcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, r *sdkmcp.ProgressNotificationClientRequest) {
			if strings.HasPrefix(r.Params.Message, progress) {
				select {
				case told <- r.Params.Message:
				default: // another one was first
				}
			}
		},
	})
	server := exec.CommandContext(ctx, "host", "mcp")
	server.Stderr = os.Stderr
	s, err := client.Connect(ctx, &sdkmcp.CommandTransport{Command: server}, nil)
	if err != nil {
		return err
	}
	p := &sdkmcp.CallToolParams{Name: tool, Arguments: json.RawMessage(args)}
	p.SetProgressToken("the only one")
	r, err := s.CallTool(ctx, p)
	if err != nil {
		return err
	}
	for _, c := range r.Content {
		if text, is := c.(*sdkmcp.TextContent); is {
			fmt.Println(text.Text)
		}
	}
	if r.IsError {
		return errors.Join(errors.New("the tool has failed"), s.Close())
	}
	fmt.Println("progress:", <-told) // which was sent before the result
	return s.Close()
}
