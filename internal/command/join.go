package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/fabric"
	"github.com/seed-2ba35074/trellis/internal/rundir"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// caller is the actor that a command becomes in the tree of a host that serves.
const caller = document.Command

// atFlag is where a host serves, or is looked for.
func atFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("at", "default", "where the host serves: a name, or the path of a socket")
}

func checkAddress(flag, at string) error {
	if fabric.IsAddress(at) {
		return &usageError{fmt.Errorf("%s: expected a name, or the path of a socket, got %q; what other machines join is fleet.listen in the config", flag, at)}
	}
	if _, err := rundir.Socket(at); err != nil {
		return &usageError{fmt.Errorf("%s: %w", flag, err)}
	}
	return nil
}

// site is where a command joins a host: on this machine, or on another one with the credentials of a folder.
type site struct{ at, credentials, flag string } // flag is the one that says at

func siteFlags(cmd *cobra.Command) *site {
	s := &site{flag: "--at"}
	cmd.Flags().StringVar(&s.at, "at", "default", "where the host serves: a name, or the path of a socket; or tls://HOST:PORT on another machine")
	cmd.Flags().StringVar(&s.credentials, "credentials", "", "with tls://: the folder of this machine's certificate (host ca issue)")
	return s
}

func (s *site) check() error {
	switch {
	case fabric.IsAddress(s.at):
		if _, _, err := fabric.ParseAddress(s.at); err != nil {
			return &usageError{fmt.Errorf("%s: %w", s.flag, err)}
		}
		if s.credentials == "" {
			return &usageError{fmt.Errorf("%s %s: a host on another machine is joined with --credentials FOLDER", s.flag, s.at)}
		}
		return nil
	case s.credentials != "":
		return &usageError{fmt.Errorf("--credentials: they are for a host on another machine, at tls://HOST:PORT, got %s %s", s.flag, s.at)}
	}
	return checkAddress(s.flag, s.at)
}

// join runs do in the tree of the host.
func (s *site) join(ctx context.Context, do func(ctx context.Context) error) error {
	o := host.JoinOptions{Name: caller}
	if s.credentials != "" {
		var err error
		if o.Credentials, err = fleet.LoadCredentials(s.credentials); err != nil {
			return err
		}
	}
	return host.Join(ctx, s.at, o, do)
}

// joining makes a command that joins a host and does something in its tree.
func (p *program) joining(cmd *cobra.Command, do func(ctx context.Context, args []string) error) *cobra.Command {
	return p.joiningBy((*site).join, cmd, do)
}

func (p *program) joiningBy(join func(*site, context.Context, func(context.Context) error) error, cmd *cobra.Command,
	do func(ctx context.Context, args []string) error,
) *cobra.Command {
	at := siteFlags(cmd)
	timeout := cmd.Flags().Duration("timeout", 0, "give up after this time, such as 10s; 0: never")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if err := at.check(); err != nil {
			return err
		}
		if *timeout > 0 {
			limited, cancel := context.WithTimeoutCause(ctx, *timeout, &lateError{*timeout, "not done", "--timeout"})
			defer cancel()
			defer context.AfterFunc(limited, func() { p.signals.cancel(context.Cause(limited)) })()
			ctx = limited
		}
		args, err := withInput(ctx, args, os.Stdin)
		if err != nil {
			return err
		}
		return late(ctx, p.hurried(func() error {
			return join(at, ctx, func(ctx context.Context) error { return do(ctx, args) })
		}))
	}
	return cmd
}

// hurried runs a command, which leaves its host in order when a signal comes. That may take as long as what it has
// called takes to end; a second signal ends the command itself, and the host is told by the end of its link.
func (p *program) hurried(run func() error) error {
	var err error
	running := task.Start(func() { err = run() })
	select {
	case <-running.Done():
	case <-p.signals.hurry:
		select {
		case <-running.Done(): // it has ended as well, and says how
		default:
			return context.Cause(p.signals.ctx)
		}
	}
	return err
}

// lookEvery is how often a command looks that waits until a host serves.
const lookEvery = 50 * time.Millisecond

// joinLater is join as soon as a host serves.
func (s *site) joinLater(ctx context.Context, do func(ctx context.Context) error) error {
	for {
		if err := s.join(ctx, do); !errors.Is(err, host.ErrNoHost) {
			return err
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// lateError is what a command fails with whose time is over.
type lateError struct {
	after time.Duration
	what  string
	flag  string
}

func (e *lateError) Error() string { return fmt.Sprintf("%s within %v (%s)", e.what, e.after, e.flag) }

// late makes it what a command has failed with that its time is over, if it has failed of that: the failure may say so in words of its own,
// and that somebody has not answered since.
func late(ctx context.Context, err error) error {
	if over, ok := errors.AsType[*lateError](context.Cause(ctx)); ok && errors.Is(err, context.DeadlineExceeded) {
		return over
	}
	return err
}

// verdict is the exit code of a failure in the tree of a host that serves; exitFailed if it is like any
// other. What the callee has failed with is such a failure, whatever it is.
func verdict(err error) int {
	_, over := errors.AsType[*lateError](err)
	_, absent := errors.AsType[*absentError](err)
	_, relayed := errors.AsType[*fault.RemoteError](err)
	switch {
	case over:
		return exitLate
	case errors.Is(err, host.ErrNoHost):
		return exitNoHost
	case absent, errors.Is(err, directory.ErrNotFound) && !relayed:
		return exitNotFound
	}
	return exitFailed
}

// mostInput is how many bytes of arguments are read, which is more than any actor takes.
const mostInput = 64 << 20

// withInput are the arguments of a command with standard input in the place of a "-" behind NAME and ENDPOINT. It
// is read before the command joins: a program that joins leaves when its ctx ends, and may not wait for
// somebody who types. Nobody can end the read itself, which is left behind then.
func withInput(ctx context.Context, args []string, in io.Reader) ([]string, error) {
	if len(args) < 3 || args[2] != "-" {
		return args, nil
	}
	var all []byte
	var err error
	reading := task.Start(func() { all, err = io.ReadAll(io.LimitReader(in, mostInput+1)) })
	select {
	case <-reading.Done():
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("arguments from standard input: %w", err)
	case len(all) > mostInput:
		return nil, &usageError{fmt.Errorf("arguments: standard input has more than %d bytes, which no actor takes", mostInput)}
	}
	return append(slices.Clone(args[:2]), string(all)), nil
}

// arguments are those of a call, as JSON: an empty object if there are none.
func arguments(args []string) (json.RawMessage, error) {
	text := []byte("{}")
	if len(args) > 0 {
		text = bytes.TrimSpace([]byte(args[0]))
	}
	if !json.Valid(text) {
		return nil, &usageError{fmt.Errorf("arguments: expected JSON, such as '{\"name\": 1}' or '\"text\"' with its quotes, got %s", words.Quote(string(text)))}
	}
	return text, nil
}

// line prints a JSON value in one line.
func (p *program) line(raw []byte) error {
	var out bytes.Buffer
	if err := json.Compact(&out, raw); err != nil {
		return fmt.Errorf("what has come is not valid JSON: %w", err)
	}
	out.WriteByte('\n')
	_, err := out.WriteTo(p.stdout)
	return err
}

// outputFlag is how a command prints.
func (p *program) outputFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&p.output, "output", "o", "table", "table or json")
	cmd.PreRunE = func(*cobra.Command, []string) error { return p.checkOutput() }
	return cmd
}

func (p *program) checkOutput() error {
	if p.output != "table" && p.output != "json" {
		return &usageError{fmt.Errorf("--output: expected table or json, got %q", p.output)}
	}
	return nil
}

// printJSON prints a value of the command's own, indented.
func (p *program) printJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(p.stdout, "%s\n", text)
	}
	return err
}

// usage is the whole command line of a command.
func usage(cmd *cobra.Command) string {
	return strings.TrimSuffix(cmd.CommandPath(), cmd.Name()) + cmd.Use
}

// withArgs refuses a command line with fewer or more arguments.
func withArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return &usageError{fmt.Errorf("expected %s, got %d arguments", usage(cmd), len(args))}
		}
		return nil
	}
}
