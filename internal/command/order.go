package command

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

func newCancel(p *program) *cobra.Command {
	return p.ordering(&cobra.Command{
		Use:   "cancel NAME",
		Short: "End an actor of a host that serves, for good",
		Long: "End an actor of a host that serves, for good, and wait until it has ended. Its tasks are told who wants\n" +
			"it. NAME is that of the only actor that has it, or a path.",
	}, 1, func([]string) (wire.OrderRequest, error) { return wire.OrderRequest{Do: wire.OrderCancel}, nil })
}

func newRestart(p *program) *cobra.Command {
	return p.ordering(&cobra.Command{
		Use:   "restart NAME",
		Short: "End the process of an actor of a host that serves, and start another one",
		Long: "End the process of an actor of a host that serves, start another one, and wait until that is ready. Of an actor that\n" +
			"has replicas each one is, one after the other, so that the others go on serving, until one does not come up. An actor that\n" +
			"is between two processes does not wait for the rest of its pause.\n" +
			"NAME is that of an actor, or its path; parser#2 is one replica, and parser#1 the first.",
		Example: "  host restart parser\n  host restart census/parser#2",
	}, 1, func([]string) (wire.OrderRequest, error) { return wire.OrderRequest{Do: wire.OrderRestart}, nil })
}

func newDrain(p *program) *cobra.Command {
	return p.ordering(&cobra.Command{
		Use:   "drain HOST",
		Short: "Have the actors of an agent started elsewhere, and then the agent leave",
		Long: "Have the actors that an agent runs for a host that serves started elsewhere, one after the other, and then the agent leave.\n" +
			"Nothing new is started there meanwhile. HOST is the name of the agent in the tree. An agent that has left all of its\n" +
			"hosts ends, and one that the host has started by a command is not started again before the host is: docs/machines.md.",
		Example: "  host drain b",
	}, 1, func([]string) (wire.OrderRequest, error) { return wire.OrderRequest{Do: wire.OrderDrain}, nil })
}

func newScale(p *program) *cobra.Command {
	return p.ordering(&cobra.Command{
		Use:   "scale NAME N",
		Short: "Have an actor of a host that serves run N times",
		Long: "Start replicas of an actor of a host that serves, or end those with the highest numbers, until there are N,\n" +
			"and wait for that. NAME is that of an actor in the config, or its path. N may be 0.",
	}, 2, func(args []string) (r wire.OrderRequest, err error) {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 0 {
			return r, &usageError{fmt.Errorf("replicas: expected a whole number such as 4, or 0, got %s", words.Quote(args[0]))}
		}
		return wire.OrderRequest{Do: wire.OrderScale, Replicas: n}, nil
	})
}

// ordering makes a command that has the host do something with an actor, which its other arguments say.
func (p *program) ordering(cmd *cobra.Command, args int, say func(args []string) (wire.OrderRequest, error)) *cobra.Command {
	cmd.Args = withArgs(args, args)
	return p.joining(completing("", cmd), func(ctx context.Context, args []string) error {
		r, err := say(args[1:])
		if err != nil {
			return err
		}
		r.Name = args[0]
		_, err = order(ctx, r)
		return err
	})
}

// order gives the host an order. An actor that is not there has an exit code of its own.
func order(ctx context.Context, r wire.OrderRequest) ([]byte, error) {
	answer, err := inspect.Order(ctx, r)
	if errors.Is(err, directory.ErrNotFound) {
		err = &absentError{err}
	}
	return answer, err
}
