package socket

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Process is a program that listens. It belongs to whoever started it, who stops it.
type Process struct {
	cmd   *exec.Cmd
	input io.Closer
	dir   string // of the socket
}

// Start starts a program whose main calls [Serve], and returns when it listens.
func Start(cmd *exec.Cmd) (*Process, error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, dir: dir}
	if err := p.start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return p, nil
}

func (p *Process) start() error {
	p.cmd.Env = append(p.cmd.Environ(), pathVar+"="+p.Path())
	input, err := p.cmd.StdinPipe()
	if err != nil {
		return err
	}
	p.input = input
	output, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if strings.TrimSpace(line) != ready {
		return errors.Join(fmt.Errorf("the program behind the socket said %q, expected %q: %w", line, ready, err), p.Stop())
	}
	return nil
}

// Path is the socket's.
func (p *Process) Path() string { return filepath.Join(p.dir, "s") }

// PID is the process's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Dial opens a connection.
func (p *Process) Dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", p.Path())
}

// Stop ends the process and returns when it is gone.
func (p *Process) Stop() error {
	return errors.Join(p.input.Close(), p.cmd.Wait(), os.RemoveAll(p.dir))
}
