package command

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config/read"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/words"
)

func newAgent(p *program) *cobra.Command {
	var o host.AgentOptions
	var labels []string
	var credentials string
	var attached bool
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run actors on this machine for hosts on others",
		Long: "Run actors on this machine for the hosts that it joins: those whose config says so (on). It joins a host again whenever that\n" +
			"is lost. SIGTERM and Ctrl-C drain it: its actors are started elsewhere, and it ends when none is left. What it runs ends with\n" +
			"it in any case: docs/machines.md. With --config it also joins the root of each tree in the registry of that file (fleet.registry),\n" +
			"and is a member there.",
		Example: "  host agent --join tls://10.0.0.1:7077 --credentials /etc/trellis/b --label disk=ssd --capacity 8",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Labels, err = labelsOf(labels); err != nil {
				return err
			}
			for _, at := range o.Join {
				if err := (&site{at, credentials, "--join"}).check(); err != nil {
					return err
				}
			}
			if credentials != "" {
				if o.Credentials, err = fleet.LoadCredentials(credentials); err != nil {
					return &usageError{fmt.Errorf("--credentials: %w", err)}
				}
			}
			if cmd.Flag("config").Changed {
				done, err := p.agentRegistry(cmd.Context(), &o)
				if err != nil {
					return err
				}
				defer func() { err = cmp.Or(err, done()) }()
			}
			ctx := cmd.Context()
			if attached {
				ctx = untilInputEnds(ctx, cmd.InOrStdin())
			}
			return p.hurried(func() error {
				if err := host.Agent(ctx, o); err != nil {
					return &usageError{err} // it has no other ones
				}
				return nil
			})
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.Join, "join", nil, "a host: tls://HOST:PORT, or on this machine a name or the path of a socket; default if there is none")
	flags.StringVar(&credentials, "credentials", "", "with tls://: the folder of this machine's certificate (host ca issue)")
	flags.StringVar(&o.Name, "name", "", "what it is called; without it as its certificate, or the machine")
	flags.StringArrayVar(&labels, "label", nil, "KEY=VALUE by which actors choose it")
	flags.IntVar(&o.Capacity, "capacity", 0, "how many actors it runs at once; 0: as many as its hosts want")
	flags.BoolVar(&o.AcceptPrograms, "accept-programs", false, "let hosts send programs, and run them")
	flags.BoolVar(&attached, "until-input-ends", false, "drain when standard input ends, as it does with a session of ssh that runs this")
	return cmd
}

// untilInputEnds gives a ctx that ends with the input, too. Its goroutine lives as long as the program, since nobody can end a
// read; an input that fails has ended as well.
func untilInputEnds(ctx context.Context, input io.Reader) context.Context {
	ctx, end := context.WithCancelCause(ctx)
	task.Start(func() {
		_, err := io.Copy(io.Discard, input)
		end(fmt.Errorf("its standard input has ended: %w", cmp.Or(err, io.EOF)))
	})
	return ctx
}

// agentRegistry has an agent join the trees in the registry of a config file, of which nothing else counts but the
// credentials.
func (p *program) agentRegistry(ctx context.Context, o *host.AgentOptions) (done func() error, err error) {
	tree, err := p.load(ctx, read.Options{})
	if err != nil {
		return nil, err
	}
	machines, err := p.fleetOf(tree)
	if err != nil {
		return nil, err
	}
	o.Credentials, o.Name = cmp.Or(o.Credentials, machines.Credentials), cmp.Or(o.Name, tree.Fleet.Host)
	if tree.Fleet.Registry.Driver == "" {
		return func() error { return nil }, nil
	}
	if o.Registry, err = p.openRegistry(ctx, tree); err != nil {
		return nil, err
	}
	return o.Registry.Close, nil
}

func labelsOf(texts []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, text := range texts {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, &usageError{fmt.Errorf("--label: expected KEY=VALUE, got %s", words.Quote(text))}
		}
		labels[key] = value
	}
	return labels, nil
}
