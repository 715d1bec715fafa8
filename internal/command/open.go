package command

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// Of a context that is opened by hand.
type (
	contextOpener = contract.Opener[json.RawMessage, json.RawMessage, json.RawMessage, json.RawMessage]
	contextStream = contract.Stream[json.RawMessage, json.RawMessage]
)

func newOpen(p *program) *cobra.Command {
	return p.outputFlag(p.calling("context", &cobra.Command{
		Use:   "open NAME ENDPOINT [JSON]",
		Short: "Open a context of an actor of a host that serves, by hand",
		Long: "Open a context of an actor of a host that serves, by hand. Each line of standard input is JSON, and sent as\n" +
			"a message; its end says that no more comes. What the actor sends is printed as it comes, one JSON value\n" +
			"a line, and its result last. With -o json each line says what it is: {\"started\": …}, {\"message\": …} or\n" +
			"{\"result\": …}. Ctrl-C cancels the context. An actor that is just starting again is waited\n" +
			"for (--wait).",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 3 && args[2] == "-" {
				return &usageError{fmt.Errorf("arguments: expected JSON, got -: the lines of standard input are the messages of the context")}
			}
			return withArgs(2, 3)(cmd, args)
		},
	}, func(ctx context.Context, portal *directory.Portal, endpoint string, args json.RawMessage) error {
		forgive := term.IsTerminal(int(os.Stdin.Fd())) // what is typed can be typed again
		return p.open(ctx, portal, endpoint, args, typing{p, os.Stdin, forgive})
	}))
}

// open opens a context, and returns when it has ended and all that it gives is printed.
func (p *program) open(ctx context.Context, portal contract.Portal, endpoint string, args json.RawMessage, in typing) error {
	options := contract.ContextOptions{Reading: true}
	result, err := contract.ContextByHand(endpoint).With(options).Open(ctx, portal, args, func(ctx context.Context, c *contextOpener) error {
		stream, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		if err := p.started(c.Value()); err != nil {
			return err
		}
		ended := make(chan struct{}) // the callee's task
		defer close(ended)
		c.Go(func(ctx context.Context) error { return in.send(ctx, stream, ended) })
		for message, err := range stream.All(ctx) {
			if err == nil {
				err = p.part("message", message)
			}
			if err != nil {
				return err
			}
		}
		_, err = c.Wait(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return p.part("result", result)
}

// part prints what has come of a context, as one line.
func (p *program) part(name string, value json.RawMessage) error {
	if p.output == "json" {
		value = fmt.Appendf(nil, "{%q:%s}", name, value)
	}
	return p.line(value)
}

// started shows the callee's first value. It is not one of its messages, and so is for people unless all parts are named.
func (p *program) started(value json.RawMessage) error {
	if p.output == "json" {
		return p.part("started", value)
	}
	if v, err := parseValue(value); err == nil && len(v.fields)+len(v.items)+len(v.scalar) > 0 && v.scalar != absent {
		p.progress.step("started: " + v.flat())
	}
	return nil
}

// typing is where the messages of a context come from, each a line. With forgive, a line that is
// not JSON is reported, and the next one awaited.
type typing struct {
	p       *program
	in      io.Reader
	forgive bool
}

// typed is a line, or why there are no more.
type typed struct {
	text []byte
	err  error
}

// send sends what is typed until that ends, ctx does, or the callee's task.
func (t typing) send(ctx context.Context, stream *contextStream, ended <-chan struct{}) error {
	lines := t.lines(ended)
	for n := 1; ; n++ {
		var l typed
		select {
		case l = <-lines:
		case <-ended:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		switch {
		case l.err == io.EOF: //nolint:errorlint // it is never wrapped
			stream.CloseSend()
			return nil
		case l.err != nil:
			return fmt.Errorf("line %d of standard input: %w", n, l.err)
		case len(l.text) == 0:
			continue
		}
		err := sendLine(ctx, stream, l.text)
		if _, wrong := err.(*usageError); wrong { //nolint:errorlint // it is never wrapped
			err = &usageError{fmt.Errorf("line %d of standard input: %w", n, err)}
			if t.forgive {
				t.p.progress.step(err.Error())
				err = nil
			}
		}
		if err != nil {
			return err
		}
	}
}

func sendLine(ctx context.Context, stream *contextStream, text []byte) error {
	if !json.Valid(text) {
		return &usageError{fmt.Errorf("expected JSON, such as {\"name\": 1} or \"text\" with its quotes, got %s", words.Quote(string(text)))}
	}
	return stream.Send(ctx, text)
}

// lines gives what is typed, a line at a time, and at last io.EOF or what reading has failed with. Nobody can end the read itself,
// which is left behind when the context ends first.
func (t typing) lines(ended <-chan struct{}) <-chan typed {
	lines := make(chan typed)
	give := func(l typed) bool {
		select {
		case lines <- l:
			return true
		case <-ended:
			return false
		}
	}
	task.Start(func() {
		s := bufio.NewScanner(t.in)
		s.Buffer(nil, mostInput)
		for s.Scan() {
			if !give(typed{text: bytes.TrimSpace(bytes.Clone(s.Bytes()))}) {
				return
			}
		}
		err := s.Err()
		if err == nil {
			err = io.EOF
		}
		give(typed{err: err})
	})
	return lines
}
