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

// The root of a tree starts agents by commands that start them elsewhere, over ssh for
// example. Of such an agent it knows two things, which nothing but a name connects: the local
// process of the command, which is here, and the agent that joins, as any other one does. The
// first is looked after in this file, the second by machines. So it makes no difference to an
// actor who has started its agent, and an agent that was started by hand may take the name of
// one that is not there.
//
// How each of the three may end:
//
//   - The command: its agent sees the end of its input and drains, or loses the connection in some other way. The actors there
//     are lost as with any agent, and start again when another one joins: that of the next command, as a rule.
//   - The agent: its command ends with it, as ssh does with what it runs, and is started again, unless this host has drained
//     it (host drain): whoever takes a machine out of use does not want another agent there.
//   - The root: in order it ends its actors first, then the input of the commands. If it is killed, the kernel ends the commands
//     (package process), and closes their inputs.

const (
	launchStable = 30 * time.Second // after which a command that ends is started again without a long pause
	launchGrace  = 5 * time.Second  // from the end of its input to SIGTERM, and from there to SIGKILL
)

// notJoined is why an agent is not there of which nothing else is known.
const notJoined = "its command runs, and it has not joined yet"

// drained is why an agent is not there that is not started again.
const drained = "it was drained, and is started again with the next root"

// launchers are the agents that a nursery starts (Fleet.Agents). The zero value has none.
//
// Each has a goroutine, which runs its command, and starts it again for as long as the
// nursery's ctx lives. The nursery calls end when its last child is gone, and not before: an
// agent that ended earlier would take the actors with it that run there.
type launchers struct {
	tasks task.Group
	stop  context.CancelFunc // nil if there are none
}

// launcher keeps the command of one agent running. Its goroutine alone has its process; what
// others may know of that is why, which machines.mu guards, as it is read together with the
// agents that have joined.
type launcher struct {
	n       *Nursery
	name    string
	command []string
	why     string             // why its agent has not joined
	wanted  context.Context    //nolint:containedctx // ends when the command is not to be started again
	drain   context.CancelFunc // ends it
}

// launch starts the agents of a fleet. It is called when the nursery can be joined and before
// it has a child, so that those of the children that need an agent find it sooner; it does not
// wait for any of them. An error is one of the options, and nothing has been started then.
// Their commands run until agents.end, and are started again until the nursery's ctx ends.
func (n *Nursery) launch(f *Fleet) error {
	if f == nil || len(f.Agents) == 0 {
		return nil
	}
	if n.door.fabric == nil {
		return errors.New("host.Options.Fleet: Agents join at the address Listen, there is none")
	}
	address := "tls://" + f.Credentials.Host() + "@" + cmp.Or(f.Advertise, n.door.fabric.Addr().String())
	m := n.env.machines
	for _, a := range f.Agents {
		command, err := a.Command(address, f.Tree)
		if err != nil {
			return fmt.Errorf("host.Options.Fleet: the agent %s: %w", words.Quote(a.Name), err)
		}
		l := &launcher{n: n, name: a.Name, command: command, why: notJoined}
		l.wanted, l.drain = context.WithCancel(n.ctx)
		m.launched = append(m.launched, l)
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

// absent is the other half of why an actor has no place: place says it of agents that have
// joined. It is why those agents have not joined that could be meant. The caller holds mu.
func (m *machines) absent(on *config.On) (reasons []string) {
	joined := map[string]bool{}
	for _, a := range m.all {
		joined[a.info.Host] = true
	}
	for _, l := range m.launched {
		if !joined[l.name] && (on.Host == "" || on.Host == l.name) {
			why := l.why
			if l.wanted.Err() != nil {
				why = drained
			}
			reasons = append(reasons, "the agent "+words.Quote(l.name)+": "+why)
		}
	}
	return reasons
}

// tell keeps why the agent is not there, and has those who wait for a place look again.
func (l *launcher) tell(why string) { l.n.env.machines.change(func() { l.why = why }) }

// keep runs the command again and again, until the nursery's ctx ends, from when on there is
// nothing more for an agent to do, or its agent is drained. A command that runs at that moment goes on until alive
// ends, since there may be actors with its agent.
//
// One that cannot be started is treated as one that has ended: the file may be there at the
// next attempt.
func (l *launcher) keep(alive context.Context) {
	why := notJoined
	for pause := agentPause; ; pause = min(2*pause, agentLongest) {
		began := time.Now()
		err := l.run(alive, why)
		switch {
		case l.n.ctx.Err() != nil || alive.Err() != nil:
			return
		case l.wanted.Err() != nil:
			l.n.env.log.Info("an agent was drained, and is not started again", "agent", l.name, "reason", err)
			return
		}
		if time.Since(began) > launchStable {
			pause = agentPause
		}
		l.tell(err.Error())
		why = err.Error() + "; it runs again"
		l.n.env.log.Warn("an agent is started again", "agent", l.name, "pause", pause, "error", err)
		select {
		case <-time.After(pause):
		case <-l.wanted.Done():
			return
		case <-alive.Done():
			return
		}
	}
}

// run runs the command once, and returns why it has ended when nothing of it is left. While it runs, why is told of the agent. The
// write end of its standard input stays open for as long as alive. It is closed by the kernel
// if this program is killed, as the lifeline of the process is, which ends the local command;
// whatever that has started on another machine sees the end of the input.
//
// The command has the whole environment of this program, unlike an actor: it is a tool of the
// one who runs the tree, such as ssh, which looks there for its agent.
func (l *launcher) run(alive context.Context, why string) error {
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
	l.tell(why)
	// If the ctx ends now, there never is a process. Later its end means nothing to this one, which lasts as long as alive.
	err = proc.Start(l.wanted)
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

// end waits for the end of a command whose input has ended, with more and more force. At a
// hurried end of the tree it does not wait in between.
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

// line logs what the command has printed. It is called on the goroutine of the process's log,
// which may wait for the handler.
func (l *launcher) line(line process.Line) {
	if line.Dropped > 0 {
		l.n.env.lines.Warn("lines of an agent's command were dropped", "agent", l.name, "dropped", line.Dropped)
	}
	if len(line.Text) > 0 {
		l.n.env.lines.Info(terminal.Line(string(line.Text)), "agent", l.name, "stream", line.Stream.String())
	}
}
