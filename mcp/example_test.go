package mcp_test

import (
	"context"
	"fmt"

	sdkmcp "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/mcp"
)

// A host program shows its tree to an agent, here one in the same process.
func ExampleNewServer() {
	err := host.OpenNursery(context.Background(), host.Options{}, func(ctx context.Context, _ *host.Nursery) error {
		near, far := sdkmcp.NewInMemoryTransports()
		if _, err := mcp.NewServer(ctx, mcp.Options{}).Connect(ctx, far, nil); err != nil {
			return err
		}
		agent, err := sdkmcp.NewClient(&sdkmcp.Implementation{Name: "agent", Version: "1"}, nil).Connect(ctx, near, nil)
		if err != nil {
			return err
		}
		answer, err := agent.CallTool(ctx, &sdkmcp.CallToolParams{Name: "actors"})
		if err != nil {
			return err
		}
		fmt.Println(answer.Content[0].(*sdkmcp.TextContent).Text)
		return agent.Close()
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"version":1,"actors":[]}
}
