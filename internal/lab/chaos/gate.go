//go:build linux

package main

import (
	"context"
	"sync"
)

// gate holds up the load of a process between two steps, so that what it holds can
// be counted. Contexts and streams stay open.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // closed when the gate opens; nil while it is open
}

// traffic is this process's.
var traffic gate

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		g.shut = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

// pass waits until the gate is open, and reports false if ctx ended instead.
func (g *gate) pass(ctx context.Context) bool {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut == nil {
		return ctx.Err() == nil
	}
	select {
	case <-shut:
		return true
	case <-ctx.Done():
		return false
	}
}

// step is the time between two steps of a task. It reports false if ctx ended.
func step(ctx context.Context) bool { return pause(ctx, pace) && traffic.pass(ctx) }
