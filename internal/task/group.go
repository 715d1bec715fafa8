package task

import "sync"

// Group owns any number of goroutines. Whoever holds it closes it, and has then waited for
// all of them. The zero value is ready. All methods may be called at the same time; Go may
// be called from a goroutine of the group.
type Group struct {
	mu      sync.Mutex // guards the rest; never held while anything is waited for
	running int
	ending  bool          // Finish was called: closed as soon as nothing runs
	closed  bool          // Go does nothing
	idle    chan struct{} // made by a waiter, closed when running falls to 0
}

// Go runs f in a goroutine of the group. It reports false, and does not run f,
// once the group has been closed.
func (g *Group) Go(f func()) bool {
	if !g.enter() {
		return false
	}
	g.Resume(f)
	return true
}

// Here runs f on the caller's goroutine, which counts as one of the group meanwhile. It reports
// false, and does not run f, once the group has been closed.
func (g *Group) Here(f func()) bool {
	if !g.enter() {
		return false
	}
	g.run(f)
	return true
}

// Keep makes a goroutine of the group count as running after it has returned: what it does
// goes on in another one, which Resume starts, and nobody needs a goroutine in between.
func (g *Group) Keep() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running++
}

// Resume runs f in a goroutine of the group, in place of one that Keep has kept; also once
// the group has been closed.
func (g *Group) Resume(f func()) { go g.run(f) }

func (g *Group) run(f func()) {
	defer g.leave() // also when f panics or calls runtime.Goexit
	f()
}

func (g *Group) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.running++
	}
	return !g.closed
}

func (g *Group) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running--; g.running > 0 {
		return
	}
	g.closed = g.closed || g.ending
	if g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// Idle returns a channel that is closed when no goroutine of the group runs. It
// describes the moment: an open group may be busy again right after.
func (g *Group) Idle() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running == 0 {
		return closedChan
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	return g.idle
}

// Refuse makes every later Go report false. Running goroutines go on.
func (g *Group) Refuse() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// Wait returns when no goroutine of the group runs.
func (g *Group) Wait() { <-g.Idle() }

// Finish waits until no goroutine of the group runs, and refuses new ones from that
// moment on. Until then those that run may start others.
func (g *Group) Finish() {
	g.mu.Lock()
	g.ending, g.closed = true, g.closed || g.running == 0
	g.mu.Unlock()
	g.Wait()
}

// Close refuses new goroutines and waits for those that run. It must not be
// called from a goroutine of the group, which would wait for itself.
func (g *Group) Close() {
	g.Refuse()
	g.Wait()
}

var closedChan = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Worker owns exactly one goroutine. It cannot be ended from outside: what its function
// waits for is for whoever started it to end.
type Worker struct{ done chan struct{} }

// Start runs f in a goroutine of its own.
func Start(f func()) *Worker {
	w := &Worker{done: make(chan struct{})}
	go func() {
		defer close(w.done)
		f()
	}()
	return w
}

// Done is closed when the worker's function has returned.
func (w *Worker) Done() <-chan struct{} { return w.done }

// Wait returns when the worker's function has returned.
func (w *Worker) Wait() { <-w.done }
