package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/viper"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
	"github.com/seed-2ba35074/trellis/internal/lab/bench"
	"github.com/seed-2ba35074/trellis/internal/terminal"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/mcp"
)

// Exit codes. The last three are those of commands that join a host (docs/joining.md).
const (
	exitFailed   = 1
	exitWrong    = 2
	exitNotFound = 3
	exitNoHost   = 4
	exitLate     = 5
)

// Main is the program: it runs the command line, and exits.
func Main() {
	bench.Serve() // if this process was started to be measured
	if len(os.Args) > 1 && os.Args[1] == mcpPlugin {
		mcp.Serve(os.Args[2:]...)
		return
	}
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs the command line and returns the exit code. What it prints comes
// from plugins, configs and command lines, and so goes through package terminal.
func execute(args []string, out, errs io.Writer) int {
	signals := watchSignals()
	defer signals.stop()
	p := &program{signals: signals, screen: newScreen(out), progress: newProgress(errs), settings: viper.New()}
	p.screen.w, p.progress.w = signals.guard(p.screen.w), signals.guard(p.progress.w)
	p.stdout = terminal.NewWriter(p.screen.w)
	root := newRoot(p)
	root.SetArgs(args)
	root.SetOut(p.stdout)
	root.SetErr(p.progress)
	err := explain(signals.ctx, root.ExecuteContext(signals.ctx))
	if err == nil {
		return 0
	}
	code, text := judge(err)
	if text != "" {
		_, _ = fmt.Fprintln(p.progress, text) // nowhere left to report to
	}
	return code
}

// judge gives an error its exit code and its words.
func judge(err error) (code int, text string) {
	if s, ok := errors.AsType[*signalled](err); ok {
		return s.exitCode(), ""
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		return exitWrong, err.Error()
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitWrong, "host: " + err.Error()
	}
	return verdict(err), "host: " + plainType.ReplaceAllString(fmt.Sprintf("%+v", err), "")
}

// plainType is the type of an error of which nobody but Go needs to know one, before its text.
var plainType = regexp.MustCompile(`^\*(errors|fmt)\.[A-Za-z]+: `)

// usageError is a command line that makes no sense.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

// program is what the commands have in common.
type program struct {
	signals  *signals
	stdout   io.Writer // through package terminal
	screen   *screen   // the same, for records
	progress *progress // and logs, on standard error
	settings *viper.Viper
	set      []string
	output   string
	record   []string
	otlp     string
}

func newRoot(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:           "host",
		Short:         "Run a tree of plugins from a config file",
		Version:       thisBuild().Trellis,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return p.setUp(cmd) },
		Args:              noCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(newSchema(p), newVersion(p), newExplain(p), newNew(p), newMan(), newCA(p), newHosts(p), newGenerate(p))
	root.AddCommand(newGraph(p), newPlan(p), newApply(p))
	flags := root.PersistentFlags()
	flags.StringP("config", "c", "config.yaml", "the tree of actors (or TRELLIS_CONFIG)")
	flags.String("log-level", "info", "debug, info, warn or error (or TRELLIS_LOG_LEVEL)")
	flags.String("log-format", "auto", "pretty, for people; logfmt; json; auto is pretty on a terminal, else logfmt (or TRELLIS_LOG_FORMAT)")
	flags.StringArrayVar(&p.set, "set", nil, "replace one value of the config, as in actors.census.actors.parser.replicas=2")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	p.settings.SetEnvPrefix("TRELLIS")
	p.settings.SetEnvKeyReplacer(strings.NewReplacer("-", "_"))
	p.settings.AutomaticEnv()
	if err := p.settings.BindPFlags(flags); err != nil {
		panic(err) // the flags above
	}
	root.AddCommand(newRun(p), newServe(p), newAgent(p), newDev(p), newValidate(p), newClean(p), newBench(p), newConform(p))
	root.AddCommand(newPs(p), newTree(p), newCall(p), newStream(p), newOpen(p), newWait(p), newEvents(p), newLogs(p), newTraces(p), newTop(p), newDescribe(p), newDump(p), newExport(p), newCancel(p), newRestart(p), newScale(p), newDrain(p), newMCP(p))
	groupCommands(root)
	return root
}

// setUp makes the logger that everything uses.
func (p *program) setUp(cmd *cobra.Command) error {
	var level slog.Level
	name := p.settings.GetString("log-level")
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return &usageError{fmt.Errorf("--log-level or TRELLIS_LOG_LEVEL: expected debug, info, warn or error, got %q", name)}
	}
	format := p.settings.GetString("log-format")
	if format == "auto" && (p.progress.drawn || cmd.Name() == "dev") {
		format = "pretty"
	}
	handler, err := p.logHandler(format, level)
	if err == nil {
		slog.SetDefault(slog.New(handler))
	}
	return err
}

// load reads the config with what the command line says.
func (p *program) load(ctx context.Context, o read.Options) (*config.Tree, error) {
	o.Lookup, o.Set = func(name string) (string, bool) { return lookup(ctx, name) }, p.set
	if p.otlp != "" {
		o.Set = append(slices.Clip(p.set), "telemetry.otlp.endpoint="+p.otlp)
	}
	tree, err := read.Load(p.settings.GetString("config"), o)
	if _, unreadable := errors.AsType[*fs.PathError](err); unreadable {
		err = &usageError{fmt.Errorf("cannot read the config: %w; name it with --config or TRELLIS_CONFIG", err)}
	}
	return tree, explain(ctx, err)
}

func newValidate(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "validate",
		Short: "Check a config file and report everything that is wrong with it",
		Long: "Check a config file and report everything that is wrong with it, programs and folders\n" +
			"that are not there included. Nothing is built or started.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tree, err := p.load(cmd.Context(), read.Options{Programs: true})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.stdout, "%s is valid: %s\n", p.settings.GetString("config"), plural(countProcesses(tree.Actors), "process"))
			return err
		},
	}
}

// noCommand refuses what is left of a command line that names no command.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		var names []string
		for _, c := range cmd.Commands() {
			if !strings.Contains(c.Name(), args[0]) { // who writes "start" does not mean restart
				names = append(names, c.Name())
			}
		}
		return &usageError{fmt.Errorf("unknown command %s%s; see %s --help", words.Quote(args[0]), words.DidYouMean(args[0], names), cmd.CommandPath())}
	}
	return nil
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("expected no arguments, got %q", args)}
	}
	return nil
}

// plural is a number of things, in words.
func plural(n int, thing string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case strings.HasSuffix(thing, "s"):
		return fmt.Sprintf("%d %ses", n, thing)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// countProcesses is how many processes a tree starts.
func countProcesses(actors []config.Actor) int {
	n := 0
	for _, a := range actors {
		n += max(1, a.Replicas) * (1 + countProcesses(a.Actors))
	}
	return n
}
