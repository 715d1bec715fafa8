package process

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/hashicorp/go-plugin/runner"
)

var _ runner.Runner = (*Process)(nil)

// Stdout is what go-plugin may see of the child's standard output: exactly one
// line, which is the handshake line if that was well formed, and otherwise a
// harmless text without the separator, so that go-plugin fails at once and
// asks Diagnose. It ends with the process.
func (p *Process) Stdout() io.ReadCloser { return p.stdout }

// Stderr is empty and ends with the process: all of the child's standard error
// goes to Spec.Log. (go-plugin's own reader panics at a JSON line whose
// "@message" is not a string.)
func (p *Process) Stderr() io.ReadCloser { return p.stderr }

// Name is the title of the process, or else its name, for go-plugin's logger.
func (p *Process) Name() string { return cmp.Or(p.spec.Title, p.spec.name()) }

// ID is the pid in decimal, or "" as long as there never was a process.
func (p *Process) ID() string {
	if pid := p.PID(); pid != 0 {
		return strconv.Itoa(pid)
	}
	return ""
}

// HandshakeError tells why the first line on standard output was kept from
// go-plugin: a *HandshakeError, or nil if it was good or has not come.
func (p *Process) HandshakeError() error {
	p.lk.Lock()
	defer p.lk.Unlock()
	return p.lk.greet
}

// Diagnose tells what is known about a failed start. go-plugin puts it into
// its error.
func (p *Process) Diagnose(context.Context) string {
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
func (p *Process) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin returns the address as it is.
func (p *Process) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}
