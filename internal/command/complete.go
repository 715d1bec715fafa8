package command

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// completeWithin is how long a shell waits for names.
const completeWithin = time.Second

// completing gives shells the names of actors for the first argument of a command, and those of endpoints
// of a kind for the second one. Where nobody serves, there are none.
func completing(kind string, cmd *cobra.Command) *cobra.Command {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
		at, err := cmd.Flags().GetString("at")
		credentials, missing := cmd.Flags().GetString("credentials")
		if cmp.Or(err, missing) != nil || len(args) > 1 || len(args) == 1 && kind == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
		defer cancel()
		_ = (&site{at: at, credentials: credentials}).join(ctx, func(ctx context.Context) error { // no names, then
			names, err = candidates(ctx, args, kind)
			return err
		})
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// candidates are the names that may come next.
func candidates(ctx context.Context, args []string, kind string) (names []string, err error) {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	entries, err := directory.Query(ctx, name)
	for _, e := range entries {
		switch {
		case document.IsCommand(&e.Last):
		case name == "":
			names = append(names, e.Path)
		default:
			for _, p := range e.Endpoints {
				if p.Kind == kind {
					names = append(names, p.Name)
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), err
}
