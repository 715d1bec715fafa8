package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/internal/words"
)

func newCancel(p *program) *cobra.Command {
	return p.ordering(&cobra.Command{
		Use:   "cancel NAME",
		Short: "End an actor of a host that serves, for good",
		Long: "End an actor of a host that serves, for good, and wait until it has ended. Its tasks are told who wants\n" +
			"it. NAME is that of an actor of the host itself, or its path.",
	}, 1, func([]string) (wire.OrderRequest, error) { return wire.OrderRequest{}, nil })
}

func newRestart(p *program) *cobra.Command {
	return p.ordering(&cobra.Command{
		Use:   "restart NAME",
		Short: "End the process of an actor of a host that serves, and start another one",
		Long: "End the process of an actor of a host that serves, start another one, and wait until that is ready.\n" +
			"NAME is that of an actor of the host itself, or its path.",
	}, 1, func([]string) (wire.OrderRequest, error) { return wire.OrderRequest{Restart: true}, nil })
}

func newScale(p *program) *cobra.Command {
	return p.ordering(&cobra.Command{
		Use:   "scale NAME N",
		Short: "Have an actor of a host that serves run N times",
		Long: "Start replicas of an actor of a host that serves, or end those with the highest numbers, until there are N,\n" +
			"and wait for that. NAME is that of an actor in the config of the host itself. N may be 0.",
	}, 2, func(args []string) (r wire.OrderRequest, err error) {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 0 {
			return r, &usageError{fmt.Errorf("replicas: expected a whole number such as 4, or 0, got %s", words.Quote(args[0]))}
		}
		return wire.OrderRequest{Replicas: &n}, nil
	})
}

// ordering makes a command that has the host do something with an actor, which its other arguments say.
func (p *program) ordering(cmd *cobra.Command, args int, order func(args []string) (wire.OrderRequest, error)) *cobra.Command {
	cmd.Args = withArgs(args, args)
	return p.joining(completing("", cmd), func(ctx context.Context, args []string) error {
		r, err := order(args[1:])
		if err != nil {
			return err
		}
		r.Name = args[0]
		_, err = askHost(ctx, wire.Order, r)
		return err
	})
}
