// Package steps is the endpoints that an implementation of the protocol serves to be tested
// with the transcripts in docs/protocol/transcripts, whose README.md says what each step is.
// They are written as the author of any plugin would: an SDK in another language needs the
// same three.
package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/shared/contract"
)

// The endpoints that an implementation serves to be tested. Their arguments are steps.
var (
	aFunc    = contract.Func[[]string, string]("func")
	aSource  = contract.Source[[]string, string]("source")
	aContext = contract.Context[[]string, string, string, string, string]("context")
)

// The endpoints that a script serves: a task opens them with the steps call, listen and open.
var (
	peerFunc    = contract.Func[string, string]("func")
	peerSource  = contract.Source[string, string]("source")
	peerContext = contract.Context[string, string, string, string, string]("context")
)

// Endpoints are the handlers of this implementation. parent is where their tasks open
// dialogs of their own, as a task with that ctx sees it.
func Endpoints(parent func(ctx context.Context) contract.Portal) []contract.Handler {
	return []contract.Handler{
		aFunc.Handle(func(ctx context.Context, steps []string) (string, error) {
			return (&performer{parent: parent(ctx), steps: steps}).perform(ctx)
		}),
		aSource.Handle(func(ctx context.Context, steps []string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				p := &performer{parent: parent(ctx), steps: steps}
				p.send = func(_ context.Context, m string) error {
					if !yield(m, nil) {
						return errDone
					}
					return nil
				}
				if _, err := p.perform(ctx); err != nil && !errors.Is(err, errDone) {
					yield("", err)
				}
			}
		}),
		aContext.Handle(func(ctx context.Context, steps []string, c *contract.Callee[string, string, string]) (string, error) {
			p := &performer{parent: parent(ctx), steps: steps, started: c.Started, stream: c.Stream, cancel: c.Cancel}
			return p.perform(ctx)
		}),
	}
}

// errDone ends a task whose consumer has gone.
var errDone = errors.New("the consumer has stopped")

// performer takes the steps of one task. A step that fails ends the task with its failure.
type performer struct {
	parent contract.Portal
	steps  []string
	last   string // what the last step has given
	ended  bool   // a return has been met

	// What the innermost dialog can do; nil where it cannot.
	started func(value string) error
	stream  func(contract.StreamOptions) (*contract.Stream[string, string], error)
	cancel  func(ctx context.Context, reason string) error
	wait    func(ctx context.Context) (string, error)
	send    func(ctx context.Context, m string) error
	open    *contract.Stream[string, string]
}

// perform takes all steps, up to a return or, in a dialog that the task has opened, a leave.
func (p *performer) perform(ctx context.Context) (string, error) {
	for len(p.steps) > 0 && !p.ended {
		name, arg, _ := strings.Cut(p.steps[0], " ")
		p.steps = p.steps[1:]
		if name == "leave" {
			break
		}
		if err := p.step(ctx, name, arg); err != nil {
			return "", err
		}
	}
	return p.last, nil
}

func (p *performer) step(ctx context.Context, name, arg string) (err error) {
	switch name {
	case "return": // the task ends with the value
		p.last, p.ended = long(arg), true
	case "give": // the task ends with what the last step has given
		p.ended = true
	case "fail": // it ends with an error of that text
		return errors.New(arg)
	case "wrap": // it ends with such an error, which wraps why it was told to end
		return fmt.Errorf("%s: %w", arg, context.Cause(ctx))
	case "reason": // it ends with why it was told to end
		return context.Cause(ctx)
	case "panic":
		panic(arg)
	case "wait": // until the task is told to end
		<-ctx.Done()
	case "sleep":
		return sleep(arg)
	case "metadata": // gives an entry of the caller's metadata
		p.last = contract.MetadataFrom(ctx)[arg]
	case "started":
		return p.started(long(arg))
	case "call", "listen", "open", "deadline":
		return p.begin(ctx, name, arg)
	default:
		return p.streamStep(ctx, name, arg)
	}
	return nil
}

// long is a text as a step says it: "*300000" is one of that many bytes.
func long(arg string) string {
	if n, err := strconv.Atoi(strings.TrimPrefix(arg, "*")); err == nil && strings.HasPrefix(arg, "*") {
		return strings.Repeat("x", n)
	}
	return arg
}

// sleep takes its time even when the task is told to end, as clean-up does.
func sleep(arg string) error {
	d, err := time.ParseDuration(arg)
	<-time.After(d)
	return err
}

// streamStep is a step on the innermost dialog.
func (p *performer) streamStep(ctx context.Context, name, arg string) (err error) {
	switch name {
	case "attach": // opens this end of the stream: "attach", "attach 4", "attach 4 fail", "attach 4 keep 100"
		p.open, err = p.stream(receiving(arg))
		return err
	case "send": // "send x", or "send x 3" for x three times
		return p.sendAll(ctx, arg)
	case "recv": // gives a message, "" when the stream has ended; "recv 3" the third from here
		return p.receive(ctx, arg)
	case "drain": // receives until the stream has ended
		for err == nil {
			_, err = p.open.Recv(ctx)
		}
		return ended(err)
	case "stop": // sends no more
		p.open.CloseSend()
	case "close": // neither sends nor receives any more
		p.open.Close()
	case "cancel": // asks the peer's task to end, and goes on when it has
		return p.cancel(ctx, arg)
	case "result": // waits for the callee's value
		p.last, err = p.wait(ctx)
		return err
	default:
		return fmt.Errorf("there is no step %q", name)
	}
	return nil
}

func receiving(arg string) (o contract.StreamOptions) {
	words := append(strings.Fields(arg), "", "", "")
	o.Window.Messages, _ = strconv.Atoi(words[0])
	o.WithoutBackpressure = words[1] == "fail"
	o.AllowOverruns, _ = strconv.Atoi(words[2])
	return o
}

func (p *performer) sendAll(ctx context.Context, arg string) error {
	m, times, _ := strings.Cut(arg, " ")
	send := p.send
	if p.open != nil {
		send = p.open.Send
	}
	for range count(times) {
		if err := send(ctx, long(m)); err != nil {
			return err
		}
	}
	return nil
}

func (p *performer) receive(ctx context.Context, arg string) (err error) {
	for range count(arg) {
		if p.last, err = p.open.Recv(ctx); err != nil {
			return ended(err)
		}
	}
	return nil
}

// count is a number in a step, 1 if there is none.
func count(arg string) int {
	if n, err := strconv.Atoi(arg); err == nil {
		return n
	}
	return 1
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// begin opens a dialog with the script: "call x", "listen x" and "open x" with the
// argument x. In the last two the steps up to leave are those of the opener's task.
// "deadline 1s" gives the dialogs that follow a deadline.
func (p *performer) begin(ctx context.Context, name, arg string) (err error) {
	switch name {
	case "call":
		p.last, err = peerFunc.Call(ctx, p.parent, long(arg))
	case "listen":
		return p.listen(ctx, arg)
	case "open":
		p.last, err = peerContext.Open(ctx, p.parent, long(arg), func(ctx context.Context, c *contract.Opener[string, string, string, string]) error {
			inner := &performer{parent: p.parent, steps: p.steps, last: c.Value(), stream: c.Stream, cancel: c.Cancel, wait: c.Wait}
			defer func() { p.steps = inner.steps }()
			_, err := inner.perform(ctx)
			return err
		})
	case "deadline":
		d, err := time.ParseDuration(arg)
		if err != nil {
			return err
		}
		ctx, stop := context.WithTimeout(ctx, d)
		defer stop()
		_, err = p.perform(ctx)
		p.ended = true
		return err
	}
	return err
}

// listen takes messages of a source for as long as the next steps are recv.
func (p *performer) listen(ctx context.Context, arg string) error {
	for m, err := range peerSource.Stream(ctx, p.parent, long(arg)) {
		if err != nil {
			return err
		}
		p.last = m
		if len(p.steps) == 0 || p.steps[0] != "recv" {
			break
		}
		p.steps = p.steps[1:]
	}
	return nil
}
