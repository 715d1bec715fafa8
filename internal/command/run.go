package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
	"github.com/seed-2ba35074/trellis/otlp"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

func newRun(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [name=value …]",
		Short: "Start the tree, run its main job and print the result",
		Long: "Start the tree and run its main job, with the given arguments; without a main job,\n" +
			"serve until Ctrl-C. Everything that was started has ended when host run ends.",
	}
	p.otlpFlag(cmd)
	page := p.pageFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		tree, err := p.load(cmd.Context(), read.Options{Args: args})
		if err != nil {
			return err
		}
		var web webServers
		defer func() { web.close() }() // all that there are by then
		if err := page(cmd.Context(), &web, nil); err != nil {
			return err
		}
		return p.run(cmd.Context(), tree, "", newPlanner(wanted{}), web)
	}
	cmd.Flags().StringArrayVar(&p.record, "record", nil, "write what is said with an actor to a file, as in parser=parser.rec, for tests to replay")
	return p.outputFlag(cmd)
}

func newServe(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Start the tree, and serve until Ctrl-C: other programs can join it",
		Long: "Start the tree, without its main job, and serve until Ctrl-C or SIGTERM. Other programs of this user\n" +
			"can join it, and so can host ps, tree, call, stream, open, wait, events, logs, top, describe, cancel, restart, plan and apply.",
		Args: noArgs,
	}
	p.otlpFlag(cmd)
	at := atFlag(cmd)
	page, metrics := p.pageFlags(cmd), metricsFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkAddress("--at", *at); err != nil {
			return err
		}
		tree, file, err := p.wanted(cmd.Context())
		if err != nil {
			return err
		}
		tree.Run = nil
		var web webServers
		defer func() { web.close() }() // all that there are by then
		plans := newPlanner(file)
		if err := page(cmd.Context(), &web, p.compared(plans)); err != nil {
			return err
		}
		if err := metrics(cmd.Context(), &web); err != nil {
			return err
		}
		return p.run(cmd.Context(), tree, *at, plans, web)
	}
	return cmd
}

// run starts a tree, and runs its main job or serves. plans answers for it.
func (p *program) run(ctx context.Context, tree *config.Tree, at string, plans *planner, web webServers) (err error) {
	dumps, stop := p.dumps()
	defer stop()
	records, err := openRecords(p.record, tree.Actors)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, records.close()) }()
	progress := p.progress
	defer progress.end()
	defer p.sayFarewell(ctx)()
	if err := completeTelemetry(tree); err != nil { // before anything is built
		return err
	}
	machines, err := p.fleetOf(tree)
	if err != nil {
		return err
	}
	actors, err := p.build(ctx, tree)
	if err != nil {
		return explain(ctx, err)
	}
	leave, err := p.registryOf(ctx, tree, machines)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, leave()) }()
	options := host.Options{Supervision: tree.Supervision, Telemetry: tree.Telemetry, Hurry: p.signals.hurry, Record: records, Serve: at, Fleet: machines, Dump: dumps}
	if at != "" {
		options.Endpoints = plans.handlers()
	}
	progress.step("starting " + plural(countProcesses(actors), "process"))
	var result json.RawMessage
	err = otlp.Run(ctx, tree.Telemetry, func(ctx context.Context) error {
		return host.OpenTree(ctx, options, otlp.Equip(ctx, actors), func(ctx context.Context, t *host.Tree) (err error) {
			plans.begin(ctx, t)
			defer web.serve(ctx)()
			if tree.Run == nil {
				progress.step("serving; Ctrl-C ends it")
				<-ctx.Done()
				return context.Cause(ctx)
			}
			result, err = runJob(ctx, t, tree.Run, progress)
			return err
		})
	})
	progress.end()
	if err != nil || tree.Run == nil {
		return explain(ctx, err)
	}
	return p.print(result)
}

// completeTelemetry adds to a tree what the variables of OpenTelemetry say, and checks the whole.
func completeTelemetry(tree *config.Tree) (err error) {
	if tree.Telemetry.OTLP, err = otlp.FromEnvironment(tree.Telemetry.OTLP, os.LookupEnv); err != nil {
		return &usageError{err}
	}
	return tree.Telemetry.Check()
}

// otlpFlag is where what the tree says is sent.
func (p *program) otlpFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.otlp, "otlp", "", "send logs, traces and metrics to this collector, such as http://localhost:4317: short for --set telemetry.otlp.endpoint=URL")
}

// sayFarewell shows why the tree ends as soon as ctx does, until stop; that waits for it.
func (p *program) sayFarewell(ctx context.Context) (stop func()) {
	said := make(chan struct{})
	unfollow := context.AfterFunc(ctx, func() {
		defer close(said)
		p.progress.last(farewell(ctx))
	})
	return func() {
		if !unfollow() {
			<-said
		}
	}
}

// farewell says why the tree ends, and what a second signal does.
func farewell(ctx context.Context) string {
	if s, ok := errors.AsType[*signalled](context.Cause(ctx)); ok && s.signal == os.Interrupt {
		return "Ctrl-C: ending the tree in order; a second one ends it at once"
	}
	return fmt.Sprintf("%v: ending the tree in order; a second signal ends it at once", context.Cause(ctx))
}

// explain makes a signal what ended a run, whatever failed after it.
func explain(ctx context.Context, err error) error {
	if s, ok := errors.AsType[*signalled](context.Cause(ctx)); ok && err != nil {
		return s
	}
	return err
}

// runJob runs the main job, of whatever kind its endpoint is, and returns its
// result as JSON.
func runJob(ctx context.Context, t *host.Tree, job *config.Run, p *progress) (json.RawMessage, error) {
	portal, err := t.Portal(job.Actor)
	if err != nil {
		return nil, err
	}
	args, err := json.Marshal(job.Args)
	if err != nil {
		return nil, fmt.Errorf("the arguments of the main job: %w", err)
	}
	if job.Args == nil {
		args = []byte("{}")
	}
	switch portal.Kind(job.Endpoint) {
	case "context":
		return runContext(ctx, portal, job.Endpoint, args, p)
	case "source":
		return runSource(ctx, portal, job.Endpoint, args, p)
	}
	return contract.FuncByHand(job.Endpoint).Call(ctx, portal, args)
}

// runContext opens a context and shows what streams out of it as progress.
func runContext(ctx context.Context, portal *host.Portal, endpoint string, args json.RawMessage, p *progress) (json.RawMessage, error) {
	type opener = contract.Opener[json.RawMessage, json.RawMessage, json.RawMessage, json.RawMessage]
	return contract.ContextByHand(endpoint).With(contract.ContextOptions{Reading: true}).Open(ctx, portal, args, func(ctx context.Context, c *opener) error {
		stream, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		stream.CloseSend()
		for message, err := range stream.All(ctx) {
			if err != nil {
				return err
			}
			p.show(message)
		}
		return nil
	})
}

// runSource gathers what a source yields.
func runSource(ctx context.Context, portal *host.Portal, endpoint string, args json.RawMessage, p *progress) (json.RawMessage, error) {
	all := []json.RawMessage{}
	for message, err := range contract.SourceByHand(endpoint).Stream(ctx, portal, args) {
		if err != nil {
			return nil, err
		}
		all = append(all, message)
		p.say(plural(len(all), "message"))
	}
	return json.Marshal(all)
}
