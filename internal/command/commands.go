package command

import (
	"slices"

	"github.com/spf13/cobra"
)

// The groups of commands, as help and docs/commands.md show them.
const (
	groupTree   = "tree"
	groupJoined = "joined"
	groupTools  = "tools"
)

// groupCommands puts each command of root into its group.
func groupCommands(root *cobra.Command) {
	root.AddGroup(
		&cobra.Group{ID: groupTree, Title: "A tree of a config file:"},
		&cobra.Group{ID: groupJoined, Title: "The tree of a host that serves:"},
		&cobra.Group{ID: groupTools, Title: "Tools:"},
	)
	root.SetHelpCommandGroupID(groupTools)
	root.SetCompletionCommandGroupID(groupTools)
	for _, cmd := range root.Commands() {
		switch {
		case slices.Contains([]string{"run", "serve", "agent", "dev", "validate", "graph", "plan", "apply"}, cmd.Name()):
			cmd.GroupID = groupTree
		case cmd.Flags().Lookup("at") != nil:
			cmd.GroupID = groupJoined
		default:
			cmd.GroupID = groupTools
		}
	}
}
