package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/measure"
)

// ttrpcDriver is the program that makes and times calls of ttrpc. It is a module of its own,
// so that this one need not depend on ttrpc. Each line of its input orders calls, and each
// line of its output is what it has found.
type ttrpcDriver struct {
	cmd    *exec.Cmd
	input  io.WriteCloser
	output *json.Decoder
	first  measure.Started
}

func (l *lab) startDriver(subject string) (process, error) {
	d := &ttrpcDriver{cmd: l.command(subject)}
	d.cmd.Stderr = os.Stderr
	input, err := d.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.input, d.output = input, json.NewDecoder(output)
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	if err := d.output.Decode(&d.first); err != nil {
		return nil, errors.Join(fmt.Errorf("the program %s has not said which server it started: %w", subject, err), d.stop())
	}
	return d, nil
}

func (d *ttrpcDriver) pids() []int { return []int{d.cmd.Process.Pid, d.first.Server} }

// stop ends the program, which ends its server.
func (d *ttrpcDriver) stop() error { return errors.Join(d.input.Close(), d.cmd.Wait()) }

// drive does not heed ctx while the program measures: that is over soon.
func (d *ttrpcDriver) drive(_ context.Context, callers, size int, length time.Duration) (found measure.Found, err error) {
	if err := json.NewEncoder(d.input).Encode(measure.Order{Callers: callers, Size: size, Length: length}); err != nil {
		return found, err
	}
	err = d.output.Decode(&found)
	return found, err
}
