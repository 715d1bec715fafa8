package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

func newCancel(p *program) *cobra.Command {
	return p.ordering(false, &cobra.Command{
		Use:   "cancel NAME",
		Short: "End an actor of a host that serves, for good",
		Long: "End an actor of a host that serves, for good, and wait until it has ended. Its tasks are told who wants\n" +
			"it. NAME is that of an actor of the host itself, or its path.",
	})
}

func newRestart(p *program) *cobra.Command {
	return p.ordering(true, &cobra.Command{
		Use:   "restart NAME",
		Short: "End the process of an actor of a host that serves, and start another one",
		Long: "End the process of an actor of a host that serves, start another one, and wait until that is ready.\n" +
			"NAME is that of an actor of the host itself, or its path.",
	})
}

// ordering makes a command that has the host do something with an actor.
func (p *program) ordering(restart bool, cmd *cobra.Command) *cobra.Command {
	cmd.Args = withArgs(1, 1)
	return p.joining(completing("", cmd), func(ctx context.Context, args []string) error {
		_, err := askHost(ctx, wire.Order, wire.OrderRequest{Name: args[0], Restart: restart})
		return err
	})
}
