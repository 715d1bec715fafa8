// Package mcp connects a tree of actors with the Model Context Protocol, both ways.
//
// [NewServer] shows the tree to an agent: what is there, what is known of it, logs and traces; and as tools, with the schemas of their
// contracts, the funcs of actors that are ready, and the contexts to which nothing is sent. The command has it as host mcp:
//
//	err := host.Join(ctx, "default", host.JoinOptions{Name: "mcp"}, func(ctx context.Context) error {
//		return mcp.NewServer(ctx, mcp.Options{}).Run(ctx, &sdkmcp.StdioTransport{})
//	})
//
// [Serve] is the main function of a plugin that makes an MCP server a supervised actor: it starts the server, and serves its
// tools as endpoints. A config file has it as the key mcp of an actor.
//
//	mcp.Serve("npx", "-y", "@modelcontextprotocol/server-everything")
//
// docs/mcp.md has both. No package of a host or a plugin imports this one.
package mcp
