package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/terminal"
	"github.com/seed-2ba35074/trellis/internal/words"
)

const (
	launchStable = 30 * time.Second // after which a command that ends is started again without a long pause
	launchGrace  = 5 * time.Second  // from the end of its input to SIGTERM, and from there to SIGKILL
)

const notJoined = "its command runs, and it has not joined yet"

// launchers are the agents that a nursery starts (Fleet.Agents). Each has a goroutine, which ends in end. The zero value has none.
type launchers struct {
	tasks task.Group
	stop  context.CancelFunc // nil if there are none
}

// launcher keeps the command of one agent running. machines.mu guards why.
type launcher struct {
	n       *Nursery
	name    string
	command []string
	why     string // why its agent has not joined
}

// launch starts the agents of a fleet. Their commands run until agents.end, and are started again until the nursery's ctx ends.
func (n *Nursery) launch(f *Fleet) error {
	if f == nil || len(f.Agents) == 0 {
		return nil
	}
	if n.door == nil || n.door.fabric == nil {
		return errors.New("host.Options.Fleet: Agents join at the address Listen, there is none")
	}
	address := "tls://" + f.Credentials.Host() + "@" + cmp.Or(f.Advertise, n.door.fabric.Addr().String())
	m := n.env.machines
	for _, a := range f.Agents {
		command, err := a.Command(address, f.Tree)
		if err != nil {
			return fmt.Errorf("host.Options.Fleet: the agent %s: %w", words.Quote(a.Name), err)
		}
		m.launched = append(m.launched, &launcher{n: n, name: a.Name, command: command, why: notJoined})
	}
	alive, stop := context.WithCancel(context.WithoutCancel(n.ctx))
	n.agents.stop = stop
	for _, l := range m.launched {
		n.agents.tasks.Go(func() { l.keep(alive) })
	}
	return nil
}

// end returns when nothing of the commands is left.
func (l *launchers) end() {
	if l.stop != nil {
		l.stop()
	}
	l.tasks.Close()
}

// absent is why those agents have not joined that could be meant. The caller holds mu.
func (m *machines) absent(on *config.On) (reasons []string) {
	joined := map[string]bool{}
	for _, a := range m.all {
		joined[a.info.Host] = true
	}
	for _, l := range m.launched {
		if !joined[l.name] && (on.Host == "" || on.Host == l.name) {
			reasons = append(reasons, "the agent "+words.Quote(l.name)+": "+l.why)
		}
	}
	return reasons
}

func (l *launcher) tell(why string) { l.n.env.machines.change(func() { l.why = why }) }

// keep runs the command again and again.
func (l *launcher) keep(alive context.Context) {
	for pause := agentPause; ; pause = min(2*pause, agentLongest) {
		began := time.Now()
		err := l.run(alive)
		if l.n.ctx.Err() != nil || alive.Err() != nil {
			return
		}
		if time.Since(began) > launchStable {
			pause = agentPause
		}
		l.tell(err.Error())
		l.n.env.log.Warn("an agent is started again", "agent", l.name, "pause", pause, "error", err)
		select {
		case <-time.After(pause):
		case <-l.n.ctx.Done():
			return
		case <-alive.Done():
			return
		}
	}
}

// run runs the command once, and returns why it has ended when nothing of it is left. The write end of its standard input
// stays open for as long as alive.
func (l *launcher) run(alive context.Context) error {
	path, err := lookPath(l.command[0])
	if err != nil {
		return err
	}
	input, hold, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = hold.Close() }() // nothing was written
	proc := process.New(process.Spec{
		Path: path, Args: l.command[1:], Name: l.command[0], Env: os.Environ(), Stdin: input, Cgroup: true, Gist: gist, Log: l.line,
	}, nil)
	l.tell(notJoined)
	err = proc.Start(l.n.ctx)
	_ = input.Close() // it was only handed on
	if err != nil {
		return err
	}
	select {
	case <-proc.Done():
	case <-alive.Done():
		_ = hold.Close()
		l.end(proc)
	}
	l.n.env.printed.Go(func() { <-proc.Flushed() })
	exit, _ := proc.Exit()
	text := "its command has ended: " + exit.String()
	if n := len(exit.LastLog); n > 0 {
		text += ": " + terminal.Line(exit.LastLog[n-1])
	}
	return errors.New(text)
}

// end waits for the end of a command whose input has ended, with more and more force.
func (l *launcher) end(proc *process.Process) {
	for _, force := range []func() error{proc.Terminate, func() error { return proc.Kill(context.Background()) }} {
		select {
		case <-proc.Done():
			return
		case <-time.After(launchGrace):
		case <-l.n.env.hurry:
		}
		if err := force(); err != nil {
			l.n.env.log.Warn("the command of an agent cannot be ended", "agent", l.name, "error", err)
		}
	}
}

// line logs what the command has printed.
func (l *launcher) line(line process.Line) {
	if line.Dropped > 0 {
		l.n.env.lines.Warn("lines of an agent's command were dropped", "agent", l.name, "dropped", line.Dropped)
	}
	if len(line.Text) > 0 {
		l.n.env.lines.Info(terminal.Line(string(line.Text)), "agent", l.name, "stream", line.Stream.String())
	}
}
