package process

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/go-plugin/runner"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// Runner is the process as go-plugin sees it, to be returned from
// ClientConfig.RunnerFunc.
func (p *Process) Runner() runner.Runner { return pluginRunner{p} }

// pluginRunner adds to a Process what only go-plugin asks of it.
type pluginRunner struct{ *Process }

// Stdout is what go-plugin may see of the child's standard output: exactly one
// line, which is the handshake line if that was well formed, and otherwise a
// harmless text without the separator, so that go-plugin fails at once and
// asks Diagnose. It ends after that line: go-plugin keeps neither a goroutine nor a buffer for
// what will not come, and learns of the end of the process from Wait.
func (p pluginRunner) Stdout() io.ReadCloser { return p.stdout }

// Stderr is empty: all of the child's standard error goes to Spec.Log. (go-plugin's own reader
// panics at a JSON line whose "@message" is not a string.)
func (p pluginRunner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name is the title of the process, or else its name, for go-plugin's logger.
func (p pluginRunner) Name() string { return p.spec.title() }

// ID is the pid in decimal, or "" as long as there never was a process.
func (p pluginRunner) ID() string {
	if pid := p.PID(); pid != 0 {
		return strconv.Itoa(pid)
	}
	return ""
}

// Wait waits for Done, or for the end of ctx, whose cause it then returns. For
// a process that ended well it returns nil, for any other end an *ExitError,
// for one that never ran the error of Start.
func (p pluginRunner) Wait(ctx context.Context) error {
	if err := task.Await(ctx, p.done); err != nil {
		return err
	}
	p.lk.Lock()
	defer p.lk.Unlock()
	if p.lk.err != nil || p.lk.exit.Success() {
		return p.lk.err
	}
	return &ExitError{Name: p.Name(), PID: p.lk.pid, Exit: p.lk.exit}
}

// Diagnose says what is known about a failed start. go-plugin puts it into
// its error. It asks while the process may still be alive; the last words are then those so far.
func (p pluginRunner) Diagnose(context.Context) string {
	greet, state := p.HandshakeError(), p.State()
	exit, ended := p.Exit()
	if !ended {
		exit.LastLog, exit.Panic = p.tail.read()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "program %s, process %s, %s", p.spec.Path, p.ID(), state)
	if ended {
		fmt.Fprintf(&b, ": %s", exit)
	}
	if greet != nil {
		fmt.Fprintf(&b, "\n%s", greet)
	}
	for _, line := range exit.LastLog {
		fmt.Fprintf(&b, "\n  stderr: %s", line)
	}
	return b.String()
}

// PluginToHost returns the address as it is: host and child share a machine.
func (p pluginRunner) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin returns the address as it is.
func (p pluginRunner) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}

// feed is a reader for go-plugin: it holds back until it is offered a text, gives that, and
// ends. It needs no goroutine. One goroutine reads at a time; any may offer or close. Every
// Process offers a text, at its end if not before.
type feed struct {
	texts   chan string // the one text that was offered; closed behind it
	offered sync.Once
	closed  chan struct{}
	closing sync.Once
	rest    strings.Reader // the reader's
}

func newFeed() *feed { return &feed{texts: make(chan string, 1), closed: make(chan struct{})} }

// offer gives the feed its text. Only the first one counts.
func (f *feed) offer(text string) {
	f.offered.Do(func() {
		f.texts <- text
		close(f.texts)
	})
}

// Read waits for the text, and ends behind it.
func (f *feed) Read(b []byte) (int, error) {
	if f.rest.Len() == 0 {
		select {
		case <-f.closed:
			return 0, io.ErrClosedPipe
		case text := <-f.texts: // "" once the text is taken, and reading that is the end
			f.rest.Reset(text)
		}
	}
	return f.rest.Read(b)
}

// Close makes Read return. The child does not notice: its output is read on.
func (f *feed) Close() error {
	f.closing.Do(func() { close(f.closed) })
	return nil
}
