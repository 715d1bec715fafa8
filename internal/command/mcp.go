package command

import (
	"context"

	sdkmcp "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/mcp"
)

func newMCP(p *program) *cobra.Command {
	var o mcp.Options
	cmd := p.joining(&cobra.Command{
		Use:   "mcp",
		Short: "Show the tree of a host that serves to an agent, as an MCP server on standard input and output",
		Long: "Show the tree of a host that serves to an agent, as a server of the Model Context Protocol on standard input and output:\n" +
			"its actors, what is known of each, logs and traces, and each func of an actor that is ready as a tool, with the schema of\n" +
			"its contract, and each context to which nothing is sent. A call is allowed if the callee admits programs that have joined. It ends with its input, or with the host.",
		Example: "  host mcp --at default\n  host mcp --orders",
		Args:    noArgs,
	}, func(ctx context.Context, _ []string) error {
		return mcp.NewServer(ctx, o).Run(ctx, &sdkmcp.StdioTransport{})
	})
	cmd.Flags().BoolVar(&o.Orders, "orders", false, "let the agent restart and cancel actors")
	return cmd
}

// mcpPlugin is the word behind this program's name with which an actor with the key mcp is started. People have no use for it.
const mcpPlugin = "mcp-plugin"
