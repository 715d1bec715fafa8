package host

import (
	"context"
	"time"

	"github.com/seed-2ba35074/trellis/internal/launch"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/words"
)

// A remote is also its process, of which it knows what the agent says.
var _ launch.Process = (*remote)(nil)

// PID is the one on its machine.
func (r *remote) PID() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pid
}

// Dead is closed when the agent says so, and when nothing more is known of the process.
func (r *remote) Dead() <-chan struct{} { return r.dead }

// Done is closed when the process has certainly ended, and all that it had started.
func (r *remote) Done() <-chan struct{} { return r.done }

// Flushed is [remote.Done]: the agent says that last.
func (r *remote) Flushed() <-chan struct{} { return r.done }

// Exit is what the agent has said; the code is -1 of a process of which nothing more is known.
func (r *remote) Exit() (how process.Exit, ended bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.exit, isClosed(r.dead)
}

// Starved is not known here: a health check of the agent's own has it.
func (r *remote) Starved() time.Duration { return 0 }

// Load is what the agent says.
func (r *remote) Load() process.Load { return r.Vitals().Load }

// Vitals are what the agent says; the last that it has said if it does not answer.
func (r *remote) Vitals() process.Vitals {
	answer, err := r.doSoon(doLook)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.vitals = answer.Vitals
	}
	return r.vitals
}

// Terminate is done by the agent.
func (r *remote) Terminate() error {
	_, err := r.doSoon(doTerminate)
	return err
}

// Kill is done by the agent. If that does not answer, the context with it ends, and the process is gone when
// its lease is over.
func (r *remote) Kill(ctx context.Context) error {
	r.lease.End()
	r.mu.Lock()
	r.killed = true
	opened := r.opened
	r.mu.Unlock()
	if !opened {
		return nil // it was refused meanwhile
	}
	if !isClosed(r.dead) {
		if _, err := r.doSoon(doKill); err != nil {
			r.cancel()
		}
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// clipped is how a process has ended, within the bounds that package process has for it.
func clipped(e process.Exit) process.Exit {
	e.LastLog = e.LastLog[max(0, len(e.LastLog)-mostLastLines):]
	for i, line := range e.LastLog {
		e.LastLog[i] = words.Clip(line, longestLine)
	}
	e.Panic, e.Limit = words.Clip(e.Panic, longestLine), words.Clip(e.Limit, longestLine)
	return e
}

// What an agent may say of an end, as package process does.
const (
	mostLastLines = 20
	longestLine   = 1 << 10 // bytes
)
